// SPDX-License-Identifier: MIT
#include <eigenformer/attention/attention_steps.hpp>

#include <eigenformer/attention/multi_query_attention.hpp>

#include "support/compare.hpp"

namespace {

namespace ef = eigenformer;
using ef::Index;

// What steps give is held against one forward in the tests of the caches and of attention.
TEST(AttentionSteps, leave_the_cache_as_it_was_when_the_prefix_does_not_fit) {
  const ef::MultiQueryAttention<float> attention({.dim = 14, .heads = 2}, ef::Random(1));
  ef::Tensor<float, 4> right(1, 3, 1, 7), wrong(1, 3, 1, 5);
  right.setZero();
  wrong.setZero();
  ef::Tensor<float, 3> x(1, 2, 14), y(1, 2, 14);
  x.setZero();
  y.setConstant(7);
  const ef::Tensor<float, 3> before = y;
  ef::Context context;
  auto cache = attention.key_value_cache(1, 5);
  ef::PagedKeyValueCache<float> pages({.sequences = 1, .pages = 2, .page_length = 3, .kv_heads = 1, .head_dim = 7});
  const std::array<Index, 1> rows = {pages.add()};
  const ef::PagedSequences<float> paged{pages, rows};
  const ef::KeyValuePrefix<float> misfit{wrong, right}, prefix{right, right};
  EXPECT_THROW(attention.forward(x, y, ef::Causal{}, cache, misfit, context), ef::ShapeError);
  EXPECT_THROW(attention.forward(x, y, ef::Causal{}, paged, misfit, context), ef::ShapeError);
  EXPECT_TRUE(support::bit_equal(y, before));
  EXPECT_EQ(cache.length() + pages.length(rows[0]), 0);
  attention.forward(x, y, ef::Causal{}, cache, prefix, context);
  attention.forward(x, y, ef::Causal{}, paged, prefix, context);
  EXPECT_EQ(cache.length(), 2);
  EXPECT_EQ(pages.length(rows[0]), 2);
}

}  // namespace
