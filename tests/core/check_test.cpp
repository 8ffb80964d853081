// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>

#include <gtest/gtest.h>

namespace ef = eigenformer;

namespace {

struct CountsPrints {
  int& prints;
  friend std::ostream& operator<<(std::ostream& out, const CountsPrints& self) {
    ++self.prints;
    return out << "printed";
  }
};

template <class Failure, class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Failure& error) {
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST(Check, message_is_made_only_on_failure) {
  int prints = 0;
  ef::require(true, "Block", CountsPrints{prints});
  EXPECT_EQ(prints, 0);
  EXPECT_EQ(message_of<ef::ShapeError>([&] { ef::require(false, "Block", "got ", CountsPrints{prints}, " ", 3); }),
            "Block: got printed 3");
  EXPECT_EQ(prints, 1);
}

TEST(Check, throws_the_type_asked_for) {
  EXPECT_THROW(ef::require<ef::OptionError>(false, "Block", "x"), ef::OptionError);
  EXPECT_THROW(ef::require<ef::ValueError>(false, "Block", "x"), ef::ValueError);
  EXPECT_THROW(ef::require(false, "Block", "x"), ef::ShapeError);
  EXPECT_THROW(ef::require(false, "Block", "x"), ef::Error);
}

TEST(Check, features_are_the_last_dimension) {
  ef::require_features(256, {4, 10, 256}, "LayerNorm");
  EXPECT_EQ(message_of<ef::ShapeError>([] {
              ef::require_features(512, {4, 10, 256}, "LayerNorm");
            }),
            "LayerNorm: expected last dimension 512, got x of shape [4, 10, 256]");
  EXPECT_EQ(message_of<ef::ShapeError>([] { ef::require_features(1, {}, "LayerNorm", "dy"); }),
            "LayerNorm: expected last dimension 1, got dy of shape []");
}

TEST(Check, shapes_and_options_name_what_they_are_of) {
  ef::require_shape({2, 3}, {2, 3}, "Block", "y");
  EXPECT_EQ(message_of<ef::ShapeError>([] {
              ef::require_shape({2, 3}, {2, 4}, "Block", "y");
            }),
            "Block: expected y of shape [2, 3], got [2, 4]");
  ef::require_positive(1, "Block", "dim");
  EXPECT_EQ(message_of<ef::OptionError>([] { ef::require_positive(0, "Block", "dim"); }),
            "Block: expected dim of at least 1, got 0");
  EXPECT_THROW(ef::require_positive(-3, "Block", "dim"), ef::OptionError);
}
