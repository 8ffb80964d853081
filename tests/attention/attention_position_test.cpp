// SPDX-License-Identifier: MIT
#include <eigenformer/attention/attention_options.hpp>
#include <eigenformer/attention/attention_position.hpp>
#include <eigenformer/position/no_position.hpp>
#include <eigenformer/position/relative_bias.hpp>

#include <gtest/gtest.h>

#include <numeric>

namespace {

namespace ef = eigenformer;
using ef::Index;
using Relative = ef::RelativeBias<float>;

constexpr ef::AttentionExtent extent = {.batch = 2, .queries = 3, .keys = 5};

}  // namespace

TEST(AttentionPosition, takes_the_sizes_that_its_options_leave_open_from_attention) {
  ef::Random random(1);
  ef::GroupedQueryAttentionOptions<ef::Rotary<>> rotary{.dim = 24, .heads = 2, .head_dim = 12};
  rotary.position.rotary_dim = 6;
  static_cast<void>(ef::detail::make_position<ef::Rotary<>>(rotary, random));
  EXPECT_EQ(rotary.position.head_dim, 12);
  EXPECT_EQ(rotary.position.rotary_dim, 6);
  ef::GroupedQueryAttentionOptions<Relative> relative{.dim = 24, .heads = 3};
  EXPECT_EQ(ef::detail::make_position<Relative>(relative, random).heads(), 3);
}

TEST(AttentionPosition, adds_to_the_scores_what_depends_on_distance) {
  ef::Random random(1);
  ef::ScratchArena arena;
  ef::ScratchScope scope(arena);
  ef::GroupedQueryAttentionOptions<Relative> options{.dim = 24, .heads = 3};
  Relative position = ef::detail::make_position<Relative>(options, random);
  EXPECT_EQ(ef::detail::distance_count(extent), 7);
  EXPECT_EQ(ef::detail::distance_count({.batch = 2, .queries = 0, .keys = 0}), 0);
  EXPECT_EQ(ef::detail::distance_biases<float>(position, 3, extent, scope).shape(), (ef::Shape{3, 3, 5}));
  EXPECT_TRUE(ef::detail::distance_biases<float>(ef::NoPosition(), 3, extent, scope).empty());
}

TEST(AttentionPosition, has_gradients_where_it_is_trained) {
  ef::Random random(1);
  ef::ScratchArena arena;
  ef::ScratchScope scope(arena);
  ef::GroupedQueryAttentionOptions<Relative> options{.dim = 24, .heads = 3};
  Relative position = ef::detail::make_position<Relative>(options, random);
  float* const gradients = ef::detail::distance_gradients<float>(position, 3, extent, scope);
  ASSERT_NE(gradients, nullptr);
  std::fill_n(gradients, 3 * 7, 1.0F);
  ef::detail::distance_biases_backward<float>(position, extent, gradients);
  const ef::Matrix<float>& gradient = position.weight.gradient;
  EXPECT_EQ(std::accumulate(gradient.data(), gradient.data() + gradient.size(), 0.0F), 21.0F);
  position.weight.trainable = false;
  EXPECT_EQ(ef::detail::distance_gradients<float>(position, 3, extent, scope), nullptr);
  ef::NoPosition none;
  EXPECT_EQ(ef::detail::distance_gradients<float>(none, 3, extent, scope), nullptr);
}
