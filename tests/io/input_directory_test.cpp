// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_directory.hpp>

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace {

using namespace eigenformer;
using namespace std::string_view_literals;
using support::write_file;

int rule_of(const Result<InputFile>& file) { return file ? -1 : file.fault().rule; }
constexpr int opened = -1;

// Rule 46, L11
TEST(InputDirectory, shard_names_are_one_component_on_every_system) {
  for (const std::string_view good : {"a.safetensors"sv, ".safetensors"sv, "model-00001-of-00002.safetensors"sv,
                                      "..safetensors"sv, "a b\xc3\xa9.safetensors"sv}) {
    EXPECT_TRUE(is_shard_name(good)) << good;
  }
  for (const std::string_view bad :
       {""sv, "."sv, ".."sv, "a"sv, "safetensors"sv, "a.safetensors "sv, "a.SAFETENSORS"sv, "a.bin"sv,
        "../x.safetensors"sv, "/x.safetensors"sv, "a/../../x.safetensors"sv, "a\\..\\x.safetensors"sv,
        "C:x.safetensors"sv, "x.safetensors\0"sv, "\0.safetensors"sv, "x.safetensors/"sv}) {
    EXPECT_FALSE(is_shard_name(bad)) << bad;
  }
  std::vector<char> longest(255, 'x');
  std::copy_n(".safetensors", 12, longest.end() - 12);
  EXPECT_TRUE(is_shard_name({longest.data(), 255}));
  longest.insert(longest.begin(), 'x');
  EXPECT_FALSE(is_shard_name({longest.data(), 256}));
}

TEST(InputDirectory, opens_regular_files_that_lie_in_it) {
  const support::TemporaryDirectory directory;
  write_file(directory / "f", support::Bytes(3));
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  std::filesystem::create_directory(directory / "folder");
  const Result<InputDirectory> open = InputDirectory::open(directory.path(), SymbolicLinks::inside);
  ASSERT_TRUE(open);
  EXPECT_EQ(open->open_file("f")->size(), 3U);
  EXPECT_EQ(rule_of(open->open_file("pipe")), 35);
  EXPECT_EQ(rule_of(open->open_file("folder")), 35);
  EXPECT_EQ(open->open_file("absent").fault().system_error, ENOENT);
  EXPECT_EQ(open->open_file(std::string(255, 'x')).fault().system_error, ENOENT);
  EXPECT_EQ(open->open_file(std::string(256, 'x')).fault().system_error, ENAMETOOLONG);
}

// Rule 47, L11
TEST(InputDirectory, follows_links_only_to_what_lies_below_it) {
  const support::TemporaryDirectory outside;
  std::filesystem::create_directories(outside / "inside/deeper");
  const std::filesystem::path inside = outside / "inside";
  std::filesystem::create_directory(outside / "inside-not");
  for (const char* path : {"secret", "inside/f", "inside/deeper/g", "inside-not/h"}) {
    write_file(outside / path, support::Bytes(5));
  }
  const auto link = [&](const std::string& name, const std::filesystem::path& target) {
    std::filesystem::create_symlink(target, inside / name);
  };
  link("to_file", "f");
  link("to_deeper", "deeper/g");
  link("to_itself_absolutely", inside / "f");
  link("there_and_back", "../inside/f");
  link("two_steps", "to_file");
  link("to_secret", "../secret");
  link("to_secret_absolutely", outside / "secret");
  link("to_brother_of_like_name", "../inside-not/h");
  link("two_steps_out", "to_secret");
  link("parent", "..");
  link("through_a_folder", "parent/secret");
  link("loop", "loop");
  link("dangling", "absent");
  link("device", "/dev/null");

  const Result<InputDirectory> strict = InputDirectory::open(inside, SymbolicLinks::inside);
  const Result<InputDirectory> lenient = InputDirectory::open(inside, SymbolicLinks::anywhere);
  ASSERT_TRUE(strict && lenient);
  for (const char* name : {"f", "to_file", "to_deeper", "to_itself_absolutely", "there_and_back", "two_steps"}) {
    EXPECT_EQ(rule_of(strict->open_file(name)), opened) << name;
    EXPECT_EQ(rule_of(lenient->open_file(name)), opened) << name;
  }
  for (const char* name :
       {"to_secret", "to_secret_absolutely", "to_brother_of_like_name", "two_steps_out", "through_a_folder"}) {
    EXPECT_EQ(rule_of(strict->open_file(name)), 47) << name;
    EXPECT_EQ(rule_of(lenient->open_file(name)), opened) << name;
  }
  EXPECT_EQ(rule_of(strict->open_file("device")), 47);
  EXPECT_EQ(rule_of(lenient->open_file("device")), 35);
  EXPECT_EQ(strict->open_file("loop").fault().system_error, ELOOP);
  EXPECT_EQ(lenient->open_file("loop").fault().system_error, ELOOP);
  EXPECT_EQ(strict->open_file("dangling").fault().system_error, ENOENT);
}

TEST(InputDirectory, may_itself_be_reached_by_a_link) {
  const support::TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "real");
  write_file(directory / "real/f", support::Bytes(3));
  std::filesystem::create_symlink("f", directory / "real/link");
  std::filesystem::create_directory_symlink("real", directory / "alias");
  const Result<InputDirectory> open = InputDirectory::open(directory / "alias", SymbolicLinks::inside);
  ASSERT_TRUE(open);
  EXPECT_EQ(rule_of(open->open_file("f")), opened);
  EXPECT_EQ(rule_of(open->open_file("link")), opened);
}

TEST(InputDirectory, says_why_it_cannot_open) {
  const support::TemporaryDirectory directory;
  write_file(directory / "f", support::Bytes(3));
  EXPECT_EQ(InputDirectory::open(directory / "absent", SymbolicLinks::inside).fault().system_error, ENOENT);
  EXPECT_EQ(InputDirectory::open(directory / "f", SymbolicLinks::inside).fault().system_error, ENOTDIR);
  EXPECT_EQ(InputDirectory::open("", SymbolicLinks::inside).fault().system_error, ENOENT);
}

TEST(InputDirectory, closes_what_it_opened) {
  const support::TemporaryDirectory directory;
  write_file(directory / "f", support::Bytes(3));
  const int before = ::open("/dev/null", O_RDONLY);
  ::close(before);
  for (int i = 0; i < 20; ++i) {
    Result<InputDirectory> open = InputDirectory::open(directory.path(), SymbolicLinks::inside);
    const InputDirectory moved = std::move(*open);
    EXPECT_TRUE(moved.open_file("f"));
    EXPECT_FALSE(moved.open_file("absent"));
  }
  const int after = ::open("/dev/null", O_RDONLY);
  ::close(after);
  EXPECT_EQ(before, after);
}

}  // namespace
