// SPDX-License-Identifier: MIT
#include <eigenformer/attention/rolling_key_value_cache.hpp>

#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/position/rotary.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;
using Attention = ef::GroupedQueryAttention<float, ef::Linear<float>, ef::Rotary<>>;

ef::Tensor<float, 3> positions(const ef::Tensor<float, 3>& x, Index first, Index count) {
  ef::Tensor<float, 3> part(x.dimension(0), count, x.dimension(2));
  for (Index b = 0; b < x.dimension(0); ++b) {
    for (Index l = 0; l < count; ++l) {
      for (Index d = 0; d < x.dimension(2); ++d) part(b, l, d) = x(b, first + l, d);
    }
  }
  return part;
}

/// However long the sequence grows, the answers are those of a windowed forward of all of it, in any chunks.
TEST(RollingKeyValueCache, equals_a_windowed_forward_of_the_whole_sequence) {
  const Attention attention({.dim = 20, .heads = 4, .kv_heads = 2, .head_dim = 6}, ef::Random(1));
  support::Generator random(2);
  ef::Tensor<float, 3> x(2, 131, 20);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(random.normal());
  for (const Index window : {1, 7, 17, 200}) {
    const ef::SlidingWindow mask{window - 1, 0};
    ef::Context context;
    ef::Tensor<float, 3> whole(2, 131, 20);
    attention.forward(x, whole, mask, context);
    for (const Index chunk : {1, 5, 29}) {
      ef::RollingKeyValueCache<float> cache(
          {.batch = 2, .window = window, .chunk = chunk, .kv_heads = 2, .head_dim = 6});
      for (Index first = 0; first < 131; first += chunk) {
        const Index count = (std::min)(chunk, 131 - first);
        ef::Tensor<float, 3> y(2, count, 20);
        attention.forward(positions(x, first, count), y, mask, cache, context);
        ASSERT_TRUE(support::within(support::max_error(y, positions(whole, first, count)),
                                    support::tolerance::attention_abs<float>(10, 3)))
            << window << " " << chunk << " " << first;
      }
      EXPECT_EQ(cache.length(), 131);
      EXPECT_EQ(cache.kept(), (std::min)(Index(131), window + chunk - 1));
    }
  }
}

TEST(RollingKeyValueCache, begins_anew_after_clear) {
  ef::RollingKeyValueCache<float> cache({.window = 3, .kv_heads = 1, .head_dim = 2});
  ef::Tensor<float, 4> token(1, 1, 1, 2);
  token.setZero();
  for (int i = 0; i < 5; ++i) cache.append(token, token);
  EXPECT_EQ(cache.segments()[0].keys.length(), 1);
  EXPECT_EQ(cache.segments()[1].keys.length(), 2);
  cache.clear();
  EXPECT_EQ(cache.length(), 0);
  EXPECT_EQ(cache.segments()[0].keys.length() + cache.segments()[1].keys.length(), 0);
}

TEST(RollingKeyValueCache, refuses_what_does_not_fit_and_stays_as_it_was) {
  using Cache = ef::RollingKeyValueCache<float>;
  EXPECT_THROW(Cache({.window = 0, .kv_heads = 1, .head_dim = 2}), ef::OptionError);
  EXPECT_THROW(Cache({.window = 1, .chunk = 0, .kv_heads = 1, .head_dim = 2}), ef::OptionError);
  EXPECT_THROW(Cache({.window = 1, .kv_heads = 0, .head_dim = 2}), ef::OptionError);
  Cache cache({.window = 3, .chunk = 2, .kv_heads = 1, .head_dim = 2});
  ef::Tensor<float, 4> three(1, 3, 1, 2), wide(1, 1, 1, 3), two(1, 2, 1, 2);
  EXPECT_THROW(cache.append(three, three), ef::ValueError);
  EXPECT_THROW(cache.append(wide, wide), ef::ShapeError);
  EXPECT_EQ(cache.length(), 0);
  EXPECT_NO_THROW(cache.append(two, two));
}

}  // namespace
