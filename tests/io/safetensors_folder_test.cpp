// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_folder.hpp>

#include <eigenformer/io/safetensors.hpp>

#include "support/allocation.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <utility>

namespace {

using namespace eigenformer;
using support::safetensors_bytes;
using support::tensor_json;
using support::write_file;

constexpr int accepted = -1;
constexpr const char* index_name = "model.safetensors.index.json";

/// A file of the named tensors, each of two bytes.
support::Bytes file_of(const std::vector<std::string>& names) {
  std::string header = "{";
  for (std::size_t i = 0; i < names.size(); ++i)
    header += tensor_json(names[i], "U8", "2", 2 * i, 2 * i + 2) + (i + 1 < names.size() ? "," : "");
  return safetensors_bytes(header + "}", 2 * names.size());
}
void write_text(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

using Map = std::vector<std::pair<std::string, std::string>>;
std::string index_of(const Map& map) {
  std::string text = "{\"metadata\":{\"total_size\":10},\"weight_map\":{";
  for (const auto& [name, shard] : map) text += "\"" + name + "\":\"" + shard + "\",";
  if (!map.empty()) text.pop_back();
  return text + "}}";
}

/// A folder of an index and two files, a.safetensors with x and y, b.safetensors with z.
class Sharded : public support::TemporaryDirectory {
 public:
  explicit Sharded(const Map& map = {{"x", "a.safetensors"}, {"z", "b.safetensors"}, {"y", "a.safetensors"}}) {
    write_file(*this / "a.safetensors", file_of({"x", "y"}));
    write_file(*this / "b.safetensors", file_of({"z"}));
    write_text(*this / index_name, index_of(map));
  }
};
FileFault fault_of(const std::filesystem::path& path, const FolderOptions& options = {}) {
  const Result<SafetensorsFolder> folder = SafetensorsFolder::try_open(path, options);
  if (folder) return FileFault{.rule = accepted, .position = 0, .tensor = {}, .reason = {}};
  return folder.fault();
}

TEST(SafetensorsFolder, reads_tensors_from_several_files) {
  const Sharded directory;
  const SafetensorsFolder folder(directory.path());
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"x", "y", "z"}));
  EXPECT_EQ(folder.shards(), 2U);
  EXPECT_EQ(folder.values<std::uint8_t>("y"), (std::vector<std::uint8_t>{2, 3}));
  EXPECT_EQ(folder.values<std::uint8_t>("z"), (std::vector<std::uint8_t>{0, 1}));
  EXPECT_EQ(folder[1].name, "y");
  EXPECT_EQ(folder[2].shape, Shape{2});
  EXPECT_FALSE(folder.contains("w"));
  EXPECT_EQ(folder.metadata("total_size"), "10");
  EXPECT_EQ(folder.source(), directory.path().string());
}

TEST(SafetensorsFolder, reads_a_single_file_before_any_index) {
  const Sharded directory;
  write_file(directory / "model.safetensors", file_of({"only"}));
  EXPECT_EQ(SafetensorsFolder(directory.path()).names(), (std::vector<std::string>{"only"}));
}

TEST(SafetensorsFolder, files_may_have_another_name) {
  const support::TemporaryDirectory directory;
  write_file(directory / "adapter_model.safetensors", file_of({"a"}));
  EXPECT_EQ(SafetensorsFolder(directory.path(), {.name = "adapter_model"}).size(), 1U);
  EXPECT_EQ(fault_of(directory.path(), {.name = "../adapter_model"}).rule, 46);
  EXPECT_EQ(fault_of(directory.path(), {.name = std::string(300, 'x')}).rule, 46);
}

TEST(SafetensorsFolder, stays_readable_when_moved_and_its_files_deleted) {
  Sharded directory;
  SafetensorsFolder first(directory.path());
  std::filesystem::remove_all(directory.path());
  SafetensorsFolder second = std::move(first);
  EXPECT_EQ(second.values<std::uint8_t>("y").at(1), 3);
  const Sharded other;
  SafetensorsFolder third(other.path());
  third = std::move(second);
  EXPECT_EQ(third.values<std::uint8_t>("z").at(1), 1);
}

TEST(SafetensorsFolder, says_what_it_looked_for) {
  const support::TemporaryDirectory directory;
  EXPECT_EQ(fault_of(directory.path()).reason.view(),
            "the folder holds neither model.safetensors nor model.safetensors.index.json");
  EXPECT_EQ(fault_of(directory / "absent").system_error, ENOENT);
  EXPECT_THROW(SafetensorsFolder(directory.path()), FileError);
}

// Rule 48, L11
TEST(SafetensorsFolder, index_and_files_agree_on_every_tensor) {
  EXPECT_EQ(fault_of(Sharded().path()).rule, accepted);
  const auto refused = [](const Map& map, const std::string& file, const std::string& tensor) {
    const Sharded directory(map);
    const FileFault fault = fault_of(directory.path());
    EXPECT_EQ(fault.rule, 48) << index_of(map);
    EXPECT_EQ(fault.file.view(), file);
    EXPECT_EQ(fault.tensor.view(), tensor);
    return fault;
  };
  const std::string a = "a.safetensors";
  const std::string b = "b.safetensors";
  refused({{"x", a}, {"y", a}, {"z", b}, {"w", b}}, index_name, "w");  // listed, absent
  refused({{"x", a}, {"z", b}}, a, "y");                               // there, not listed
  refused({{"x", a}, {"y", b}, {"z", b}}, index_name, "y");            // in another file than listed
  refused({{"x", a}, {"y", a}, {"z", "c.safetensors"}}, "c.safetensors", "");
  const FileFault fault = refused({{"x", a}, {"y", a}, {"z", a}}, index_name, "z");
  EXPECT_EQ(fault.position, index_of({{"x", a}, {"y", a}, {"z", a}}).find("\"z\""));

  const Sharded twice;
  write_file(twice / "b.safetensors", file_of({"z", "x"}));
  EXPECT_EQ(fault_of(twice.path()).rule, 48);
  EXPECT_EQ(fault_of(twice.path()).tensor.view(), "x");
  EXPECT_EQ(fault_of(twice.path()).reason.view(), "the index says that another file holds it");
}

TEST(SafetensorsFolder, a_fault_names_the_file_it_is_in) {
  const Sharded directory;
  write_text(directory / "b.safetensors", "PK\3\4 is not it");
  const FileFault fault = fault_of(directory.path());
  EXPECT_EQ(fault.rule, 4);
  EXPECT_EQ(fault.file.view(), "b.safetensors");
  write_text(directory / index_name, "{\"weight_map\":{\"a\":\"../b.safetensors\"}}");
  EXPECT_EQ(fault_of(directory.path()).rule, 46);
  EXPECT_EQ(fault_of(directory.path()).file.view(), index_name);
  try {
    const SafetensorsFolder folder(directory.path());
    FAIL();
  } catch (const FileError& error) {
    EXPECT_EQ(std::string(error.what()),
              "safetensors: " + directory.path().string() +
                  ": model.safetensors.index.json: rule 46 at byte 19, tensor \"a\": expected the name of a "
                  ".safetensors file in this folder, of at most 255 bytes");
  }
}

// Rule 47, L11: neither a shard nor the index nor the single file may be a way out.
TEST(SafetensorsFolder, links_lead_out_of_the_folder_only_on_request) {
  const support::TemporaryDirectory cache;
  write_file(cache / "blob_a", file_of({"x", "y"}));
  write_file(cache / "blob_b", file_of({"z"}));
  write_text(cache / "blob_index", index_of({{"x", "a.safetensors"}, {"y", "a.safetensors"}, {"z", "b.safetensors"}}));
  std::filesystem::create_directory(cache / "snapshot");
  const std::filesystem::path snapshot = cache / "snapshot";
  std::filesystem::create_symlink("../blob_a", snapshot / "a.safetensors");
  std::filesystem::create_symlink("../blob_b", snapshot / "b.safetensors");
  std::filesystem::create_symlink("../blob_index", snapshot / index_name);
  EXPECT_EQ(fault_of(snapshot).rule, 47);
  EXPECT_EQ(fault_of(snapshot).file.view(), index_name);
  EXPECT_EQ(SafetensorsFolder(snapshot, {.links = SymbolicLinks::anywhere}).size(), 3U);

  std::filesystem::remove(snapshot / index_name);
  std::filesystem::copy_file(cache / "blob_index", snapshot / index_name);
  EXPECT_EQ(fault_of(snapshot).rule, 47);
  EXPECT_EQ(fault_of(snapshot).file.view(), "a.safetensors");
  std::filesystem::create_symlink("../blob_a", snapshot / "model.safetensors");
  EXPECT_EQ(fault_of(snapshot).file.view(), "model.safetensors");
  EXPECT_EQ(SafetensorsFolder(snapshot, {.links = SymbolicLinks::anywhere}).size(), 2U);
  std::filesystem::remove(snapshot / "model.safetensors");
  std::filesystem::create_symlink("b.safetensors", snapshot / "model.safetensors");
  EXPECT_EQ(fault_of(snapshot).rule, 47);
}

TEST(SafetensorsFolder, index_is_bounded) {
  const Sharded directory;
  const std::uint64_t size = std::filesystem::file_size(directory / index_name);
  EXPECT_EQ(fault_of(directory.path(), {.limits = {.index_bytes = size}}).rule, accepted);
  EXPECT_EQ(fault_of(directory.path(), {.limits = {.index_bytes = size - 1}}).rule, 45);
  EXPECT_EQ(fault_of(directory.path(), {.limits = {.shards = 1}}).rule, 48);
  EXPECT_EQ(fault_of(directory.path(), {.limits = {.tensors = 2}}).rule, 15);
  // A file of holes: nothing of it is read.
  std::filesystem::resize_file(directory / index_name, 100'000'001);
  EXPECT_EQ(fault_of(directory.path()).rule, 45);
}

TEST(SafetensorsFolder, an_index_of_nothing_is_an_empty_checkpoint) {
  const Sharded directory(Map{});
  const SafetensorsFolder folder(directory.path());
  EXPECT_EQ(folder.size() + folder.shards(), 0U);
  EXPECT_FALSE(folder.contains("x"));
}

// Rule 34 and L12, in the second of two files.
TEST(SafetensorsFolder, reports_which_file_was_cut_short) {
  const Sharded directory;
  const SafetensorsFolder folder(directory.path());
  std::filesystem::resize_file(directory / "b.safetensors",
                               std::filesystem::file_size(directory / "b.safetensors") - 1);
  std::array<std::uint8_t, 2> room{};
  EXPECT_TRUE((folder.try_read<std::uint8_t>("x", {2}, room)));
  const Result<void> got = folder.try_read<std::uint8_t>("z", {2}, room);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.fault().rule, 34);
  EXPECT_EQ(got.fault().file.view(), "b.safetensors");
  const Result<void> shape = folder.try_read<std::uint8_t>("z", {3}, room);
  EXPECT_EQ(shape.fault().file.view(), "b.safetensors");
}

// Rule 43: all headers and the index, and a table of files.
TEST(SafetensorsFolder, takes_the_memory_of_headers_and_index_only) {
  const support::TemporaryDirectory directory;
  Map map;
  std::uint64_t bytes = 0;
  constexpr std::size_t files = 200;
  for (std::size_t i = 0; i < files; ++i) {
    const std::string name = std::to_string(i);
    write_file(directory / (name + ".safetensors"), file_of({name}));
    bytes += std::filesystem::file_size(directory / (name + ".safetensors"));
    map.emplace_back(name, name + ".safetensors");
  }
  write_text(directory / index_name, index_of(map));
  bytes += std::filesystem::file_size(directory / index_name);
  const support::AllocationCounter counter;
  const Result<SafetensorsFolder> folder = SafetensorsFolder::try_open(directory.path());
  const std::size_t allocated = counter.bytes();
  ASSERT_TRUE(folder);
  EXPECT_EQ(folder->size(), files);
  if (support::AllocationCounter::available()) {
    EXPECT_LE(allocated, bytes + files * 100);
  }
}

static_assert(noexcept(SafetensorsFolder::try_open(std::declval<const std::filesystem::path&>())));

}  // namespace
