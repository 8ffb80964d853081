// SPDX-License-Identifier: MIT

#include <eigenformer/io/utf8.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace {

using namespace eigenformer;

std::string encoded(std::uint32_t code_point) {
  std::array<char, 4> bytes{};
  return {bytes.data(), static_cast<std::size_t>(write_utf8(code_point, bytes.data()) - bytes.data())};
}

TEST(Utf8, accepts_every_code_point_but_surrogates) {
  int accepted = 0;
  for (std::uint32_t code_point = 0; code_point <= 0x10ffff; ++code_point) {
    const std::string text = encoded(code_point);
    const bool valid = first_invalid_utf8(text) == text.size();
    accepted += valid ? 1 : 0;
    ASSERT_EQ(valid, code_point < 0xd800 || code_point > 0xdfff) << code_point;
  }
  EXPECT_EQ(accepted, 0x110000 - 0x800);
  EXPECT_EQ(encoded(0x20ac), "\xe2\x82\xac");
  EXPECT_EQ(encoded(0x1f600), "\xf0\x9f\x98\x80");
}

// All sequences of up to three bytes: well-formed ones are exactly those that the encoder makes.
TEST(Utf8, accepts_nothing_else_of_up_to_three_bytes) {
  int ones = 0;
  int twos = 0;
  int threes = 0;
  for (unsigned a = 0; a < 256; ++a) {
    const std::string one(1, static_cast<char>(a));
    ones += first_invalid_utf8(one) == 1 ? 1 : 0;
    for (unsigned b = 0; b < 256; ++b) {
      const std::string two = one + static_cast<char>(b);
      twos += detail::utf8_sequence_length(two, 0) == 2 ? 1 : 0;
      for (unsigned c = 0; c < 256; ++c)
        threes += detail::utf8_sequence_length(two + static_cast<char>(c), 0) == 3 ? 1 : 0;
    }
  }
  EXPECT_EQ(ones, 128);
  EXPECT_EQ(twos, 0x800 - 0x80);
  EXPECT_EQ(threes, 0x10000 - 0x800 - 0x800);
}

TEST(Utf8, finds_the_first_bad_byte_at_every_offset) {
  for (std::size_t before = 0; before < 40; ++before) {
    const std::string good(before, 'x');
    EXPECT_EQ(first_invalid_utf8(good + "\xff" + good), before);
    EXPECT_EQ(first_invalid_utf8(good + "\xe2\x82"), before);
    EXPECT_EQ(first_invalid_utf8(good + "\xf0\x9f\x98\x80" + good), 2 * before + 4);
    EXPECT_EQ(first_invalid_utf8(good + "\xf4\x90\x80\x80"), before);
  }
}

}  // namespace
