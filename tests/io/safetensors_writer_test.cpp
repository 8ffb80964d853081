// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_writer.hpp>

#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/io/safetensors_folder.hpp>

#include "reference/safetensors.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <random>

namespace {

using namespace eigenformer;
using support::Bytes;

std::string text_of(const std::filesystem::path& path) {
  const Bytes bytes = support::read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
const std::vector<float> three = {1, -2, 0.5F};

TEST(SafetensorsWriter, writes_bytes_that_are_known) {
  const support::TemporaryDirectory directory;
  SafetensorsWriter writer;
  writer.metadata["format"] = "pt";
  writer.add<float>("b", {3}, three);
  const std::vector<std::uint8_t> one = {7};
  writer.add<std::uint8_t>("a", {}, one);
  writer.write(directory / "f");
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"a":{"dtype":"U8","shape":[],"data_offsets":[12,13]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  std::string expected = std::string(1, static_cast<char>(padded.size())) + std::string(7, '\0') + padded;
  expected.append(reinterpret_cast<const char*>(three.data()), 12).append("\7");
  EXPECT_EQ(text_of(directory / "f"), expected);
  EXPECT_TRUE(reference::is_safetensors(expected));
}

template <class T>
void expect_round_trip(std::mt19937_64& random) {
  const support::TemporaryDirectory directory;
  std::vector<T> values(7 * 13);
  for (T& value : values) {
    const std::uint64_t bits = random();
    std::memcpy(static_cast<void*>(&value), &bits, sizeof value);
  }
  SafetensorsWriter writer;
  writer.add<T>("layers.0.weight", {7, 13}, values);
  writer.add<T>("nothing", {0, 13}, {});
  writer.write(directory / "f");
  EXPECT_TRUE(reference::is_safetensors(text_of(directory / "f")));
  const std::vector<T> back = SafetensorsFile(directory / "f").values<T>("layers.0.weight");
  EXPECT_EQ(std::memcmp(static_cast<const void*>(back.data()), static_cast<const void*>(values.data()),
                        values.size() * sizeof(T)),
            0)
      << name(dtype_of<T>);
  EXPECT_EQ(SafetensorsFile(directory / "f").find("nothing")->shape, (Shape{0, 13}));
}

// All bit patterns count: NaNs with payload, infinities, denormals, negative zero.
TEST(SafetensorsWriter, reads_back_every_type_bit_by_bit) {
  std::mt19937_64 random(17);
  expect_round_trip<std::uint8_t>(random);
  expect_round_trip<std::int8_t>(random);
  expect_round_trip<std::int16_t>(random);
  expect_round_trip<std::uint16_t>(random);
  expect_round_trip<std::int32_t>(random);
  expect_round_trip<std::uint32_t>(random);
  expect_round_trip<std::int64_t>(random);
  expect_round_trip<std::uint64_t>(random);
  expect_round_trip<Eigen::half>(random);
  expect_round_trip<Eigen::bfloat16>(random);
  expect_round_trip<float>(random);
  expect_round_trip<double>(random);
}

TEST(SafetensorsWriter, file_does_not_depend_on_the_order_of_adding) {
  const support::TemporaryDirectory directory;
  const std::vector<double> two = {3, 4};
  SafetensorsWriter forth;
  SafetensorsWriter back;
  forth.add<float>("a", {3}, three);
  forth.add<double>("b", {2}, two);
  forth.add<float>("c", {3, 1}, three);
  back.add<float>("c", {3, 1}, three);
  back.add<double>("b", {2}, two);
  back.add<float>("a", {3}, three);
  forth.metadata = {{"x", "1"}, {"y", "2"}};
  back.metadata = {{"y", "2"}, {"x", "1"}};
  forth.write(directory / "forth");
  back.write(directory / "back");
  EXPECT_EQ(text_of(directory / "forth"), text_of(directory / "back"));
}

TEST(SafetensorsWriter, aligns_every_tensor_for_its_type) {
  const support::TemporaryDirectory directory;
  const std::vector<std::uint8_t> bytes(5);
  const std::vector<Eigen::half> halves(3);
  const std::vector<double> doubles(3);
  for (std::size_t padding = 0; padding < 9; ++padding) {
    SafetensorsWriter writer;
    writer.add<std::uint8_t>("a" + std::string(padding, 'x'), {5}, bytes);
    writer.add<Eigen::half>("b", {3}, halves);
    writer.add<float>("c", {3}, three);
    writer.add<double>("d", {3}, doubles);
    writer.write(directory / "f");
    const Bytes written = support::read_file(directory / "f");
    const std::uint64_t data =
        8 + std::to_integer<std::uint64_t>(written[0]) + 256 * std::to_integer<std::uint64_t>(written[1]);
    EXPECT_EQ(data % 8, 0U);
    const SafetensorsFile file{std::span(written)};
    for (std::size_t i = 0; i < file.size(); ++i)
      EXPECT_EQ((data + file[i].begin) % (bits(file[i].dtype) / 8), 0U) << file[i].name;
  }
}

TEST(SafetensorsWriter, escapes_names_and_metadata) {
  const support::TemporaryDirectory directory;
  const std::string name = "a\"\\/\xc3\xa9\xf0\x9f\x98\x80";
  const std::string value = std::string("\0\x01\n\"\\\x1f\x7f", 7) + "\xe2\x82\xac";
  SafetensorsWriter writer;
  writer.metadata[value] = value;
  writer.add<float>(name, {3}, three);
  writer.write(directory / "f");
  EXPECT_TRUE(reference::is_safetensors(text_of(directory / "f")));
  const SafetensorsFile file{directory / "f"};
  EXPECT_EQ(file.metadata(value), value);
  EXPECT_EQ(file.values<float>(name), three);
}

TEST(SafetensorsWriter, refuses_what_the_reader_would_and_writes_nothing) {
  const support::TemporaryDirectory directory;
  const auto refused = [&](const std::string& name, const Shape& shape, int rule) {
    SafetensorsWriter writer;
    writer.add<float>("a", {3}, three);
    writer.add<float>(name, shape, three);
    try {
      writer.write(directory / "f");
      ADD_FAILURE() << "wrote " << name;
    } catch (const FileError& error) {
      EXPECT_EQ(error.rule(), rule) << error.what();
    }
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  };
  refused("a", {3}, 14);
  refused("", {3}, 15);
  refused(std::string(4097, 'n'), {3}, 15);
  refused("b\n", {3}, 16);
  refused("b\xff", {3}, 7);
  refused("__metadata__", {3}, 17);
  refused("b", {4}, 27);
  refused("b", {2}, 27);
  refused("b", {-3}, 21);
  SafetensorsWriter writer;
  writer.metadata["k"] = "\xff";
  EXPECT_THROW(writer.write(directory / "f"), FileError);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(SafetensorsWriter, keeps_the_old_file_if_the_new_one_fails) {
  const support::TemporaryDirectory directory;
  SafetensorsWriter writer;
  writer.add<float>("a", {3}, three);
  writer.write(directory / "f");
  const std::string before = text_of(directory / "f");
  writer.add<float>("a", {3}, three);
  EXPECT_THROW(writer.write(directory / "f"), FileError);
  EXPECT_EQ(text_of(directory / "f"), before);
  SafetensorsWriter good;
  EXPECT_THROW(good.write(directory / "absent/f"), FileError);
  EXPECT_THROW(good.write(directory.path()), FileError);
  good.write(directory / "f");
  EXPECT_EQ(SafetensorsFile(directory / "f").size(), 0U);
}

std::vector<std::string> file_names(const support::TemporaryDirectory& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path()))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(SafetensorsWriter, splits_a_checkpoint_into_files_that_the_folder_reader_takes) {
  const support::TemporaryDirectory directory;
  std::vector<float> values(40);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  SafetensorsWriter writer;
  writer.metadata["format"] = "pt";
  writer.add<float>("c", {40}, values);
  writer.add<float>("a", {5}, std::span(values).first(5));
  writer.add<float>("d", {1}, std::span(values).first(1));
  writer.add<float>("b", {5}, std::span(values).subspan(5, 5));

  writer.write_folder(directory.path(), {.shard_bytes = 40});  // a and b; c, which is too large; d
  EXPECT_EQ(file_names(directory),
            (std::vector<std::string>{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                      "model-00003-of-00003.safetensors", "model.safetensors.index.json"}));
  const SafetensorsFolder sharded(directory.path());
  EXPECT_EQ(sharded.shards(), 3U);
  EXPECT_EQ(sharded.values<float>("c"), values);
  EXPECT_EQ(sharded.values<float>("b").at(4), 9.0F);
  EXPECT_EQ(sharded.metadata("total_size"), "204");
  EXPECT_EQ(sharded.metadata("format"), "pt");
  EXPECT_EQ(SafetensorsFile(directory / "model-00001-of-00003.safetensors").names(),
            (std::vector<std::string>{"a", "b"}));

  // What fits is one file, which takes the index's place; and back.
  writer.write_folder(directory.path(), {.shard_bytes = 204});
  EXPECT_FALSE(std::filesystem::exists(directory / "model.safetensors.index.json"));
  EXPECT_EQ(SafetensorsFolder(directory.path()).shards(), 1U);
  writer.write_folder(directory.path(), {.shard_bytes = 203});
  EXPECT_FALSE(std::filesystem::exists(directory / "model.safetensors"));
  EXPECT_EQ(SafetensorsFolder(directory.path()).shards(), 2U);
}

TEST(SafetensorsWriter, of_a_split_checkpoint_nothing_is_written_if_a_name_is_wrong) {
  const support::TemporaryDirectory directory;
  SafetensorsWriter writer;
  for (const char* name : {"a", "b", "c", "a"}) writer.add<float>(name, {3}, three);
  const Result<void> done = writer.try_write_folder(directory.path(), {.shard_bytes = 12});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.fault().rule, 14);
  EXPECT_TRUE(file_names(directory).empty());
  SafetensorsWriter good;
  good.add<float>("a", {3}, three);
  good.add<float>("b", {3}, three);
  EXPECT_FALSE(good.try_write_folder(directory.path(), {.shard_bytes = 12, .name = std::string(250, 'x')}));
  EXPECT_TRUE(file_names(directory).empty());
  EXPECT_FALSE(good.try_write_folder(directory / "absent", {.shard_bytes = 12}));
  for (int i = 0; i < 70; ++i) good.metadata[std::to_string(i)] = "";
  EXPECT_FALSE(good.try_write_folder(directory.path(), {.shard_bytes = 12}));
  EXPECT_TRUE(file_names(directory).empty());
}

}  // namespace
