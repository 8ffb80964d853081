// SPDX-License-Identifier: MIT

#include <eigenformer/core/error.hpp>

#include <gtest/gtest.h>

#include <type_traits>

namespace ef = eigenformer;

static_assert(std::is_base_of_v<std::runtime_error, ef::Error>);
static_assert(std::is_base_of_v<ef::Error, ef::ShapeError> && std::is_base_of_v<ef::Error, ef::OptionError> &&
              std::is_base_of_v<ef::Error, ef::ValueError>);

TEST(Error, every_kind_can_be_caught_as_one_with_its_message) {
  const auto caught = [](const auto& error) -> std::string {
    try {
      throw error;
    } catch (const ef::Error& base) {
      return base.what();
    }
  };
  EXPECT_EQ(caught(ef::ShapeError("a")), "a");
  EXPECT_EQ(caught(ef::OptionError("b")), "b");
  EXPECT_EQ(caught(ef::ValueError("c")), "c");
}
