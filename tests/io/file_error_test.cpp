// SPDX-License-Identifier: MIT

#include <eigenformer/io/file_error.hpp>

#include <gtest/gtest.h>

#include <type_traits>

namespace {

using namespace eigenformer;

static_assert(std::is_trivially_copyable_v<FileFault>);  // needs no memory
static_assert(std::is_base_of_v<Error, FileError>);

TEST(FileError, names_file_rule_position_and_tensor) {
  const FileFault fault = {.rule = 27, .position = 71, .tensor = {"w"}, .reason = {"expected 24 bytes, got 20"}};
  const FileError error(fault, "model.safetensors");
  EXPECT_STREQ(error.what(),
               "safetensors: model.safetensors: rule 27 at byte 71, tensor \"w\": expected 24 bytes, got 20");
  EXPECT_EQ(error.rule(), 27);
  EXPECT_EQ(error.position(), 71U);
  EXPECT_EQ(error.tensor(), "w");
}

TEST(FileError, leaves_out_what_there_is_not) {
  EXPECT_EQ(describe({.rule = 0, .position = 0, .tensor = {}, .reason = {"cannot open"}}, "x"),
            "safetensors: x: cannot open");
  EXPECT_EQ(describe({.rule = 1, .position = 3, .tensor = {}, .reason = {"short"}}, "x"),
            "safetensors: x: rule 1 at byte 3: short");
  EXPECT_EQ(describe({.rule = 0, .position = 0, .tensor = {"t"}, .reason = {"r"}}, "x"),
            "safetensors: x: tensor \"t\": r");
}

}  // namespace
