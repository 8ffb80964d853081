// SPDX-License-Identifier: MIT

#include <eigenformer/io/header_text.hpp>

#include "support/allocation.hpp"

#include <gtest/gtest.h>

namespace {

using namespace eigenformer;

TEST(HeaderText, has_the_bytes_asked_for_and_hardly_more) {
  for (std::uint64_t bytes = 0; bytes < 100; ++bytes) {
    const support::AllocationCounter counter;
    Result<HeaderText> text = HeaderText::allocate(bytes);
    const std::size_t allocated = counter.bytes();
    ASSERT_TRUE(text);
    EXPECT_EQ(text->characters().size(), bytes);
    std::fill(text->characters().begin(), text->characters().end(), 'x');
    if (support::AllocationCounter::available()) {
      EXPECT_LE(allocated, bytes + 4);
    }
  }
}

TEST(HeaderText, positions_lie_aligned_behind_the_records) {
  const HeaderText text = std::move(*HeaderText::allocate(40));
  for (std::size_t end = 0; end <= 20; ++end) {
    const std::span<std::uint32_t> positions = text.positions_behind(end, 5);
    const auto offset =
        static_cast<std::size_t>(reinterpret_cast<const char*>(positions.data()) - text.characters().data());
    EXPECT_GE(offset, end);
    EXPECT_LT(offset, end + 4);
    EXPECT_EQ(offset % 4, 0U);
    positions[4] = 7;
  }
}

}  // namespace
