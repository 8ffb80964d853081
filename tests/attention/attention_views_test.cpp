// SPDX-License-Identifier: MIT
#include <eigenformer/attention/attention_views.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace ef = eigenformer;
using ef::Index;

namespace {

struct Sizes {
  Index heads = 6, kv_heads = 3, head_dim = 5, value_dim = 7;
};
struct Views : ef::detail::AttentionViews<Views, float> {
  Sizes options;
  using AttentionViews::head_rows, AttentionViews::rows, AttentionViews::constant;
  using AttentionViews::key_size, AttentionViews::query_size, AttentionViews::result_size, AttentionViews::value_size;
  using AttentionViews::keys, AttentionViews::queries, AttentionViews::results, AttentionViews::values;
};

}  // namespace

TEST(AttentionViews, have_the_shapes_that_the_options_say) {
  const Views views;
  const ef::AttentionExtent extent = {.batch = 2, .queries = 11, .keys = 13};
  std::vector<float> memory(2000);
  EXPECT_EQ(views.queries(extent, memory.data()).shape(), (ef::Shape{2, 11, 6, 5}));
  EXPECT_EQ(views.keys(extent, memory.data()).shape(), (ef::Shape{2, 13, 3, 5}));
  EXPECT_EQ(views.values(extent, memory.data()).shape(), (ef::Shape{2, 13, 3, 7}));
  EXPECT_EQ(views.results(extent, memory.data()).shape(), (ef::Shape{2, 11, 6, 7}));
  EXPECT_EQ(views.query_size(extent), 2 * 11 * 6 * 5);
  EXPECT_EQ(views.key_size(extent), 2 * 13 * 3 * 5);
  EXPECT_EQ(views.value_size(extent), 2 * 13 * 3 * 7);
  EXPECT_EQ(views.result_size(extent), 2 * 11 * 6 * 7);
}

TEST(AttentionViews, see_positions_or_heads_as_rows) {
  const Views views;
  std::vector<float> memory(2 * 11 * 6 * 5);
  const auto queries = views.queries({.batch = 2, .queries = 11, .keys = 13}, memory.data());
  EXPECT_EQ(Views::rows(queries).shape(), (ef::Shape{22, 30}));
  EXPECT_EQ(Views::head_rows(queries).shape(), (ef::Shape{132, 5}));
  EXPECT_EQ(Views::constant(Views::head_rows(queries)).row(131).data(), memory.data() + 131 * 5);
}
