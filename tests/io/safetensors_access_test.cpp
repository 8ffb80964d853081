// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_access.hpp>

#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/io/safetensors_folder.hpp>

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

namespace {

using namespace eigenformer;

/// What a reader of tensors needs, asked of a file and of a folder alike.
template <class Source>
void expect_the_same_members(const Source& source) {
  EXPECT_EQ(source.size(), 2U);
  EXPECT_EQ(source[0].name, "a");
  EXPECT_EQ(source.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(source.contains("a") && !source.contains("c"));
  EXPECT_EQ(source.find("b")->shape, (Shape{2, 3}));
  EXPECT_EQ(source.metadata("format"), "pt");
  EXPECT_EQ((source.template tensor<std::uint8_t, 2>("b")(1, 2)), 7);
  EXPECT_EQ(source.template values<std::int32_t>("b").at(0), 2);
  std::array<std::uint8_t, 6> room{};
  EXPECT_TRUE((source.template try_check<std::uint8_t>("b", {2, 3})));
  EXPECT_TRUE(source.try_read("b", {2, 3}, std::span<std::uint8_t>(room)));
  source.read("b", {2, 3}, std::span<std::uint8_t>(room));
  const Result<void> wrong = source.try_read("b", {3, 2}, std::span<std::uint8_t>(room));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.fault().rule, 42);
  EXPECT_EQ(wrong.fault().tensor.view(), "b");
  EXPECT_THROW((source.template tensor<std::uint8_t, 1>("b")), FileError);
  EXPECT_THROW((source.template values<std::uint8_t>("c")), FileError);
}

TEST(SafetensorsAccess, is_the_same_for_a_file_and_a_folder) {
  const support::Bytes bytes =
      support::safetensors_bytes("{\"__metadata__\":{\"format\":\"pt\"}," + support::tensor_json("a", "U8", "2", 0, 2) +
                                     "," + support::tensor_json("b", "U8", "2,3", 2, 8) + "}",
                                 8);
  const support::TemporaryDirectory directory;
  support::write_file(directory / "model.safetensors", bytes);
  expect_the_same_members(SafetensorsFile(std::span(bytes)));
  expect_the_same_members(SafetensorsFile(directory / "model.safetensors"));
  expect_the_same_members(SafetensorsFolder(directory.path()));
}

}  // namespace
