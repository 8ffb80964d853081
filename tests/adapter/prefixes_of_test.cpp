// SPDX-License-Identifier: MIT
#include <eigenformer/adapter/prefixes_of.hpp>

#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;

template <class Attention>
using StackOf = ef::Stack<ef::PreNorm<ef::RmsNorm<float>, Attention, ef::FeedForward<float, ef::Relu>>>;
template <class Attention>
StackOf<Attention> stack() {
  return {
      {.count = 3,
       .layer = {.norm = {.dim = 14}, .attention = {.dim = 14, .heads = 2}, .feed_forward = {.dim = 14, .hidden = 13}}},
      ef::Random(1)};
}

TEST(PrefixesOf, finds_those_of_the_layers_in_their_order) {
  auto model = stack<ef::Prefixed<ef::MultiHeadAttention<float>>>();
  const std::vector<ef::Prefix<float>*> found = ef::prefixes_of<float>(model);
  ASSERT_EQ(found.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(found[i], &model.layers[i].attention.prefix);
  EXPECT_EQ(ef::prefixes_of<double>(model).size(), 0U);
}

TEST(PrefixesOf, finds_none_where_there_are_none) {
  auto model = stack<ef::MultiHeadAttention<float>>();
  EXPECT_TRUE(ef::prefixes_of<float>(model).empty());
}

}  // namespace
