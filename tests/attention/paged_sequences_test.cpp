// SPDX-License-Identifier: MIT

#include <eigenformer/attention/paged_sequences.hpp>

#include "support/compare.hpp"
#include "support/inputs.hpp"

#include <eigenformer/attention/grouped_query_attention.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

TEST(PagedSequences, stand_for_a_cache) {
  const ef::GroupedQueryAttention<float> attention({.dim = 14, .heads = 2}, ef::Random(1));
  ef::PagedKeyValueCache<float> cache({.sequences = 2, .pages = 7, .page_length = 4, .kv_heads = 2, .head_dim = 7});
  const Index sequences[] = {cache.add(), cache.add()};
  ef::PagedKeyValueCache<float> other = cache;
  support::Generator random(1);
  ef::Tensor<float, 3> x(2, 5, 14), y(2, 5, 14), expected(2, 5, 14);
  support::fill(x, support::Distribution::normal, random);
  ef::Context context;
  attention.forward(x, y, ef::Causal{}, ef::PagedSequences<float>{cache, sequences}, context);
  attention.forward(x, expected, ef::Causal{}, other, sequences, context);
  EXPECT_TRUE(support::bit_equal(y, expected));
  EXPECT_EQ(cache.length(sequences[1]), 5);
}

}  // namespace
