// SPDX-License-Identifier: MIT

#include <eigenformer/io/output_file.hpp>

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <sys/resource.h>

#include <csignal>
#include <filesystem>

namespace {

using namespace eigenformer;
using support::Bytes;

std::size_t files_in(const std::filesystem::path& directory) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

TEST(OutputFile, appears_under_its_name_when_complete) {
  const support::TemporaryDirectory directory;
  const Bytes content(100, std::byte{7});
  {
    Result<OutputFile> file = OutputFile::create(directory / "f");
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(content));
    EXPECT_FALSE(std::filesystem::exists(directory / "f"));
    ASSERT_TRUE(std::move(*file).commit());
  }
  EXPECT_EQ(support::read_file(directory / "f"), content);
  EXPECT_EQ(files_in(directory.path()), 1U);
}

TEST(OutputFile, leaves_the_old_file_and_nothing_else_without_commit) {
  const support::TemporaryDirectory directory;
  support::write_file(directory / "f", Bytes(5, std::byte{1}));
  {
    Result<OutputFile> file = OutputFile::create(directory / "f");
    ASSERT_TRUE(file->write(Bytes(100)));
  }
  EXPECT_EQ(support::read_file(directory / "f"), Bytes(5, std::byte{1}));
  EXPECT_EQ(files_in(directory.path()), 1U);
}

TEST(OutputFile, two_writers_do_not_meet) {
  const support::TemporaryDirectory directory;
  Result<OutputFile> first = OutputFile::create(directory / "f");
  Result<OutputFile> second = OutputFile::create(directory / "f");
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(first->write(Bytes(3, std::byte{1})));
  ASSERT_TRUE(second->write(Bytes(4, std::byte{2})));
  ASSERT_TRUE(std::move(*second).commit());
  ASSERT_TRUE(std::move(*first).commit());
  EXPECT_EQ(support::read_file(directory / "f"), Bytes(3, std::byte{1}));
}

TEST(OutputFile, reports_places_it_cannot_write_to) {
  const support::TemporaryDirectory directory;
  support::write_file(directory / "file", Bytes(1));
  EXPECT_FALSE(OutputFile::create(directory / "absent/f"));
  EXPECT_FALSE(OutputFile::create(directory / "file/f"));
  EXPECT_FALSE(OutputFile::create(directory / std::string(300, 'x')));
  std::filesystem::create_directory(directory / "taken");
  Result<OutputFile> file = OutputFile::create(directory / "taken");
  ASSERT_TRUE(file);
  EXPECT_FALSE(std::move(*file).commit());
}

// A limit on the size of files stands in for a full disk: the system takes a part and then refuses.
TEST(OutputFile, reports_a_full_disk) {
  const support::TemporaryDirectory directory;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_action = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {.rlim_cur = 1000, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  Result<void> got;
  {
    Result<OutputFile> file = OutputFile::create(directory / "f");
    got = file->write(Bytes(5000));
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_action);
  ASSERT_FALSE(got);
  EXPECT_TRUE(got.fault().reason.view().starts_with("cannot write: ")) << got.fault().reason.view();
  EXPECT_EQ(files_in(directory.path()), 0U);
}

}  // namespace
