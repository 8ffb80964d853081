// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_content.hpp>

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

namespace {

using namespace eigenformer;

TEST(SafetensorsContent, knows_where_the_data_begin) {
  for (const support::ValidFile& valid : support::valid_files()) {
    const support::Bytes bytes = support::safetensors_bytes(valid.header, valid.data_bytes);
    const Result<SafetensorsContent> content =
        SafetensorsContent::open(ByteSource(std::span<const std::byte>(bytes)), {});
    ASSERT_TRUE(content) << valid.header;
    EXPECT_EQ(content->data_begin, 8 + valid.header.size());
    EXPECT_EQ(content->bytes.size() - content->data_begin, valid.data_bytes);
  }
}

TEST(SafetensorsContent, none_is_not_a_file) {
  const Result<SafetensorsContent> content = SafetensorsContent::open({}, {});
  ASSERT_FALSE(content);
  EXPECT_EQ(content.fault().rule, 1);
}

}  // namespace
