// SPDX-License-Identifier: MIT

#include "../../../examples/run_llama/text_stream.hpp"

#include <gtest/gtest.h>

namespace {

const std::string replaced = "\xef\xbf\xbd";

TEST(TextStream, holds_back_what_is_not_complete) {
  TextStream stream;
  EXPECT_EQ(stream.push("na"), "na");
  EXPECT_EQ(stream.push("\xc3"), "");
  EXPECT_EQ(stream.push("\xaf"
                        "ve "),
            "\xc3\xafve ");
  EXPECT_EQ(stream.push("\xf0"), "");
  EXPECT_EQ(stream.push("\x9f"), "");
  EXPECT_EQ(stream.push("\x98"), "");
  EXPECT_EQ(stream.push("\x80"), "\xf0\x9f\x98\x80");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, replaces_what_is_no_text) {
  TextStream stream;
  EXPECT_EQ(stream.push("a\xff"
                        "b"),
            "a" + replaced + "b");
  EXPECT_EQ(stream.push("\xc3"
                        "b"),
            replaced + "b");
  EXPECT_EQ(stream.push("\x80"), replaced);
  EXPECT_EQ(stream.push("\xe0\x80"), "");
  EXPECT_EQ(stream.push("x"), replaced + replaced + "x");
  EXPECT_EQ(stream.push("\xe2\x82"), "");
  EXPECT_EQ(stream.finish(), replaced + replaced);
  EXPECT_EQ(stream.finish(), "");
}

// A model may have learnt to write what moves a terminal's cursor or changes its title.
TEST(TextStream, drops_control_characters) {
  TextStream stream;
  EXPECT_EQ(stream.push("a\x1b[31m\tb\nc\r\x07\x7f"), "a[31m\tb\nc");
  EXPECT_EQ(stream.push(std::string("x\0y", 3)), "xy");
  EXPECT_EQ(stream.push("\xc2\x9b\xc2\xa0"), "\xc2\xa0");
}

TEST(TextStream, shows_the_same_however_the_bytes_are_cut) {
  const std::string bytes = "caf\xc3\xa9 \xf0\x9f\x98\x80 \xff\xe2\x82 \xe2\x82\xac\xed\xa0\x80.";
  TextStream whole;
  std::string expected = whole.push(bytes);
  expected += whole.finish();
  for (std::size_t a = 0; a < bytes.size(); ++a) {
    for (std::size_t b = a; b < bytes.size(); ++b) {
      TextStream stream;
      std::string text = stream.push(bytes.substr(0, a));
      text += stream.push(bytes.substr(a, b - a));
      text += stream.push(bytes.substr(b));
      text += stream.finish();
      EXPECT_EQ(text, expected) << a << " " << b;
    }
  }
}

}  // namespace
