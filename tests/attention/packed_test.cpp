// SPDX-License-Identifier: MIT
#include <eigenformer/attention/packed.hpp>

#include "attention/attention_case.hpp"

namespace attention_test {
namespace {

static_assert(ef::AttentionMask<ef::Packed<>> && !ef::PatternMask<ef::Packed<>>);
static_assert(!ef::PatternMask<ef::Packed<ef::Causal>> && ef::PatternMask<ef::Packed<ef::Strided>>);

/// Sequences in one row have the bits that each has alone.
TEST(Packed, sequences_are_as_if_each_were_alone) {
  const std::array<Index, 5> offsets = {0, 31, 31, 131, 202};
  for_each_instruction_set([&](ef::Context& context) {
    Call<float> together({.queries = 202, .keys = 202, .heads = 6, .kv_heads = 2, .key_dim = 13, .value_dim = 7});
    together.forward(ef::Packed<ef::Causal>{offsets}, context);
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      const Index length = offsets[i + 1] - offsets[i];
      const auto q = ef::ConstHeadsView<float>(together.query.view()).positions(offsets[i], length);
      const ef::KeyValueSegment<float> segments[] = {
          {ef::ConstHeadsView<float>(together.key.view()).positions(offsets[i], length),
           ef::ConstHeadsView<float>(together.value.view()).positions(offsets[i], length)}};
      ef::Tensor<float, 4> alone(1, length, 6, 7);
      ef::attention<float>({q, segments}, {alone, nullptr}, ef::Causal{}, {}, context);
      const std::vector<float> all = together.y.values();
      const double limit = support::tolerance::attention_abs<float>(8, 5);
      for (Index j = 0; j < length * 42; ++j) {
        ASSERT_NEAR(all[static_cast<std::size_t>(offsets[i] * 42 + j)], alone.data()[j], limit);
      }
    }
  });
}

TEST(Packed, refuses_offsets_that_do_not_fit) {
  const std::array<Index, 3> good = {0, 3, 7};
  const std::array<Index, 2> fewer = {0, 7};
  const std::array<Index, 3> begins_late = {1, 3, 7}, ends_early = {0, 3, 6}, decreases = {0, 8, 7};
  EXPECT_NO_THROW(ef::Packed<>{good}.check({1, 7, 7}));
  EXPECT_THROW(ef::Packed<>{good}.check({2, 7, 7}), ef::ShapeError);
  EXPECT_THROW((ef::Packed<>{good, fewer}.check({1, 7, 7})), ef::ShapeError);
  EXPECT_THROW(ef::Packed<>{}.check({1, 7, 7}), ef::ShapeError);
  EXPECT_THROW(ef::Packed<>{good}.check({1, 7, 8}), ef::ValueError);
  EXPECT_THROW(ef::Packed<>{begins_late}.check({1, 7, 7}), ef::ValueError);
  EXPECT_THROW(ef::Packed<>{ends_early}.check({1, 7, 7}), ef::ValueError);
  EXPECT_THROW(ef::Packed<>{decreases}.check({1, 7, 7}), ef::ValueError);
}

TEST(Packed, inner_masks_see_the_extent_of_their_sequence_alone) {
  const std::array<Index, 3> queries = {0, 2, 5}, keys = {0, 10, 13};
  const ef::Packed<ef::Causal> mask{queries, keys};
  const ef::KeyRange first = mask.live_keys({1, 5, 13}, 0, 1);  // the last of its sequence sees all of its keys
  EXPECT_EQ(first.first, 0);
  EXPECT_EQ(first.last, 10);
  const ef::KeyRange second = mask.live_keys({1, 5, 13}, 0, 2);
  EXPECT_EQ(second.first, 10);
  EXPECT_EQ(second.last, 11);
}

}  // namespace
}  // namespace attention_test
