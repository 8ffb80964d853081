// SPDX-License-Identifier: MIT

#include <eigenformer/model/search_options.hpp>

#include <gtest/gtest.h>

#include <limits>

namespace {

namespace ef = eigenformer;

TEST(SearchOptions, length_penalty_is_that_of_the_paper) {
  EXPECT_EQ(ef::length_penalty(1, 0.6), 1);
  EXPECT_EQ(ef::length_penalty(7, 0), 1);
  EXPECT_DOUBLE_EQ(ef::length_penalty(7, 1), 2);
  EXPECT_DOUBLE_EQ(ef::length_penalty(19, 0.5), 2);
}

TEST(SearchOptions, must_be_in_range) {
  const auto message_of = [](const ef::SearchOptions& options) -> std::string {
    try {
      ef::require_search_options(options, 29, "search");
    } catch (const ef::Error& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  EXPECT_EQ(message_of({.max_length = 1}), "nothing thrown");
  EXPECT_EQ(message_of({}), "search: expected max_length of at least 1, got 0");
  EXPECT_EQ(message_of({.max_length = 5, .beams = 0}), "search: expected beams of at least 1, got 0");
  EXPECT_EQ(message_of({.max_length = 5, .length_penalty = -1}),
            "search: expected length_penalty of at least 0, got -1");
  EXPECT_EQ(message_of({.start = 29, .max_length = 5}), "search: expected start and end in 0 .. 28, got 29");
  EXPECT_EQ(message_of({.end = -1, .max_length = 5}), "search: expected start and end in 0 .. 28, got -1");
}

}  // namespace
