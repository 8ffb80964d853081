// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_file.hpp>

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <thread>

namespace {

using namespace eigenformer;
using support::Bytes;

Bytes counting(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i & 0xffU);
  return bytes;
}

TEST(InputFile, reads_at_any_position) {
  const support::TemporaryDirectory directory;
  support::write_file(directory / "f", counting(200));
  const Result<InputFile> file = InputFile::open(directory / "f");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->size(), 200U);
  std::array<std::byte, 7> room{};
  ASSERT_TRUE(file->read(193, room));
  EXPECT_EQ(room[6], std::byte{199});
  ASSERT_TRUE(file->read(3, room));
  EXPECT_EQ(room[0], std::byte{3});
  EXPECT_TRUE(file->read(200, {}));
}

// Rule 34
TEST(InputFile, reports_a_file_that_has_become_shorter) {
  const support::TemporaryDirectory directory;
  support::write_file(directory / "f", counting(200));
  const Result<InputFile> file = InputFile::open(directory / "f");
  ASSERT_TRUE(file);
  std::filesystem::resize_file(directory / "f", 100);
  std::array<std::byte, 50> room{};
  EXPECT_TRUE(file->read(50, room));
  for (const std::uint64_t position : {51U, 99U, 100U, 150U, 5000U}) {
    const Result<void> got = file->read(position, room);
    ASSERT_FALSE(got) << position;
    EXPECT_EQ(got.fault().rule, 34);
    EXPECT_EQ(got.fault().position, position < 100 ? 100 : position);
  }
}

// Rule 35: in particular, a pipe that nobody writes to must not make the caller wait.
TEST(InputFile, opens_regular_files_only) {
  const support::TemporaryDirectory directory;
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  for (const std::filesystem::path& path :
       {directory / "pipe", directory.path(), std::filesystem::path("/dev/null"), std::filesystem::path("/dev/zero")}) {
    const Result<InputFile> file = InputFile::open(path);
    ASSERT_FALSE(file) << path;
    EXPECT_EQ(file.fault().rule, 35) << path;
  }
  support::write_file(directory / "f", counting(3));
  std::filesystem::create_symlink(directory / "f", directory / "link");
  EXPECT_TRUE(InputFile::open(directory / "link"));
}

TEST(InputFile, says_why_it_cannot_open) {
  const support::TemporaryDirectory directory;
  for (const auto& path : {directory / "absent", directory / "absent/deeper", std::filesystem::path(),
                           directory / std::string(5000, 'x')}) {
    const Result<InputFile> file = InputFile::open(path);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.fault().rule, 0);
    EXPECT_TRUE(file.fault().reason.view().starts_with("cannot open: ")) << file.fault().reason.view();
  }
}

TEST(InputFile, closes_what_it_opened) {
  const support::TemporaryDirectory directory;
  support::write_file(directory / "f", counting(3));
  const int before = ::open("/dev/null", O_RDONLY);
  ::close(before);
  for (int i = 0; i < 50; ++i) {
    Result<InputFile> file = InputFile::open(directory / "f");
    InputFile moved = std::move(*file);
    moved = std::move(*InputFile::open(directory / "f"));
    (void)InputFile::open(directory.path());
    EXPECT_EQ(moved.size(), 3U);
  }
  const int after = ::open("/dev/null", O_RDONLY);
  ::close(after);
  EXPECT_EQ(before, after);
}

}  // namespace
