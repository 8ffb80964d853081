// SPDX-License-Identifier: MIT

#include <eigenformer/io/byte_source.hpp>

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <array>

namespace {

using namespace eigenformer;

TEST(ByteSource, file_and_memory_give_the_same_bytes) {
  const support::Bytes bytes = support::safetensors_bytes("{}", 100);
  const support::TemporaryDirectory directory;
  support::write_file(directory / "f", bytes);
  const ByteSource memory{std::span<const std::byte>(bytes)};
  const ByteSource file{std::move(*InputFile::open(directory / "f"))};
  for (const ByteSource* source : {&memory, &file}) {
    EXPECT_EQ(source->size(), 110U);
    std::array<std::byte, 7> room{};
    ASSERT_TRUE(source->read(103, room));
    EXPECT_EQ(room[6], std::byte{99});
    EXPECT_TRUE(source->read(110, {}));
  }
}

TEST(ByteSource, is_empty_at_first) {
  const ByteSource none;
  EXPECT_EQ(none.size(), 0U);
  EXPECT_TRUE(none.read(0, {}));
}

}  // namespace
