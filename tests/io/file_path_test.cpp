// SPDX-License-Identifier: MIT

#include <eigenformer/io/file_path.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>

namespace ef = eigenformer;

TEST(FilePath, takes_text_and_paths) {
  const std::string text = "a/b";
  const std::filesystem::path path = text;
  EXPECT_EQ(ef::FilePath("a/b").string(), "a/b");
  EXPECT_EQ(ef::FilePath(text).c_str(), text.c_str());
  EXPECT_EQ(ef::FilePath(path).c_str(), path.c_str());
  static_assert(std::is_nothrow_convertible_v<const std::filesystem::path&, ef::FilePath>);
  static_assert(std::is_nothrow_convertible_v<const std::string&, ef::FilePath>);
  static_assert(!std::is_convertible_v<std::string_view, ef::FilePath>, "it need not end");
  static_assert(!std::is_constructible_v<ef::FilePath, int>);
}

TEST(FilePath, joins_as_the_standard_library_does) {
  for (const char* folder : {"", "/", "a", "a/", "/a/b"}) {
    EXPECT_EQ(ef::FilePath(folder) / "name", (std::filesystem::path(folder) / "name").string());
  }
}
