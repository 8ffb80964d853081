// SPDX-License-Identifier: MIT

#include <eigenformer/io/result.hpp>

#include <gtest/gtest.h>

#include <memory>

namespace {

using namespace eigenformer;

const FileFault fault = {.rule = 7, .position = 9, .tensor = {}, .reason = {"why"}};

TEST(Result, holds_a_value_or_a_fault) {
  Result<std::unique_ptr<int>> value(std::make_unique<int>(5));
  ASSERT_TRUE(value);
  EXPECT_EQ(**value, 5);
  EXPECT_EQ(*value_or_throw(std::move(value), "x"), 5);

  const Result<std::unique_ptr<int>> none(fault);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.fault().rule, 7);
}

TEST(Result, of_nothing_is_done_or_a_fault) {
  EXPECT_TRUE(Result<void>());
  EXPECT_FALSE(Result<void>(fault));
  EXPECT_NO_THROW(value_or_throw(Result<void>(), "x"));
}

TEST(Result, becomes_an_exception_that_names_the_source) {
  try {
    value_or_throw(Result<void>(fault), "file");
    FAIL();
  } catch (const FileError& error) {
    EXPECT_STREQ(error.what(), "safetensors: file: rule 7 at byte 9: why");
  }
  EXPECT_THROW(value_or_throw(Result<int>(fault), "x"), FileError);
}

}  // namespace
