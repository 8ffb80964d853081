// SPDX-License-Identifier: MIT
#include <eigenformer/attention/key_value.hpp>

#include <gtest/gtest.h>

#include <array>

namespace {

namespace ef = eigenformer;
using Heads = ef::ConstHeadsView<float>;
using Segments = std::array<ef::KeyValueSegment<float>, 2>;

const Segments good = {{{Heads(nullptr, 2, 3, 5, 7), Heads(nullptr, 2, 3, 5, 11)},
                        {Heads(nullptr, 2, 0, 5, 7), Heads(nullptr, 2, 0, 5, 11)}}};

TEST(KeyValueSegments, count_their_keys_together) {
  EXPECT_EQ(ef::key_count<float>(good), 3);
  EXPECT_EQ(ef::key_count<float>({}), 0);
}

TEST(KeyValueSegments, must_fit_each_other) {
  EXPECT_NO_THROW(ef::require_segments<float>(good, 2, 7));
  EXPECT_THROW(ef::require_segments<float>({}, 2, 7), ef::ShapeError);
  EXPECT_THROW(ef::require_segments<float>(good, 1, 7), ef::ShapeError);
  EXPECT_THROW(ef::require_segments<float>(good, 2, 6), ef::ShapeError);
  Segments heads = good;
  heads[1].keys = Heads(nullptr, 2, 0, 4, 7);
  EXPECT_THROW(ef::require_segments<float>(heads, 2, 7), ef::ShapeError);
  Segments values = good;
  values[1].values = Heads(nullptr, 2, 0, 5, 12);
  EXPECT_THROW(ef::require_segments<float>(values, 2, 7), ef::ShapeError);
  Segments length = good;
  length[0].values = Heads(nullptr, 2, 4, 5, 11);
  EXPECT_THROW(ef::require_segments<float>(length, 2, 7), ef::ShapeError);
}

}  // namespace
