// SPDX-License-Identifier: MIT

#include <eigenformer/core/version.hpp>

#include <gtest/gtest.h>

#include <string>

#define STRING_OF(text) #text
#define STRING_OF_VALUE(macro) STRING_OF(macro)

namespace ef = eigenformer;

TEST(Version, is_the_one_in_the_name_of_the_inline_namespace) {
  const std::string expected = "v" + std::to_string(ef::version_major) + "_" + std::to_string(ef::version_minor) + "_";
  const std::string abi_name = STRING_OF_VALUE(EIGENFORMER_ABI);
  EXPECT_EQ(abi_name.substr(0, expected.size()), expected) << "core/abi.hpp and core/version.hpp disagree";
}

TEST(Version, is_the_one_that_cmake_gives_to_the_package) {
  const std::string expected = std::to_string(ef::version_major) + "." + std::to_string(ef::version_minor) + "." +
                               std::to_string(ef::version_patch);
  EXPECT_EQ(expected, EIGENFORMER_PACKAGE_VERSION);
}
