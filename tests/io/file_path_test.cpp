// SPDX-License-Identifier: MIT

#include <eigenformer/io/file_path.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>

namespace ef = eigenformer;

TEST(FilePath, takes_text_and_paths) {
  EXPECT_EQ(ef::FilePath("a/b").string(), "a/b");
  EXPECT_EQ(ef::FilePath(std::string("a/b")).string(), "a/b");
  EXPECT_STREQ(ef::FilePath(std::string_view("a/bc", 3)).c_str(), "a/b");
  EXPECT_EQ(ef::FilePath(std::filesystem::path("a") / "b").string(), "a/b");
  static_assert(std::is_convertible_v<std::filesystem::path, ef::FilePath>);
  static_assert(!std::is_constructible_v<ef::FilePath, int>);
}

TEST(FilePath, joins_as_the_standard_library_does) {
  for (const char* folder : {"", "/", "a", "a/", "/a/b"}) {
    EXPECT_EQ((ef::FilePath(folder) / "name").string(), (std::filesystem::path(folder) / "name").string());
  }
}
