// SPDX-License-Identifier: MIT

#include <eigenformer/io/fixed_text.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace {

using eigenformer::FixedText;

TEST(FixedText, joins_text_and_numbers) {
  FixedText<40> text("rank ");
  text.append(-3).append(", ").append((std::numeric_limits<std::uint64_t>::max)());
  EXPECT_EQ(text.view(), "rank -3, 18446744073709551615");
  EXPECT_TRUE(FixedText<8>().empty());
}

TEST(FixedText, cuts_what_does_not_fit_and_says_so) {
  EXPECT_EQ(FixedText<8>("12345678").view(), "12345678");
  EXPECT_EQ(FixedText<8>("123456789").view(), "12345...");
  FixedText<8> full("12345678");
  full.append("9").append("0").append(17);
  EXPECT_EQ(full.view(), "12345...");
}

TEST(FixedText, escapes_all_but_printable_ascii) {
  FixedText<80> text;
  text.append_escaped(std::string("a\0\n\x1f\x7f\xc3\xa9\"\\~", 10));
  EXPECT_EQ(text.view(), "a\\x00\\x0a\\x1f\\x7f\\xc3\\xa9\\x22\\x5c~");
  FixedText<80> longest;
  longest.append_escaped(std::string(1'000'000, '\n'));
  EXPECT_EQ(longest.view().size(), 80U);
  EXPECT_TRUE(longest.view().ends_with("..."));
}

}  // namespace
