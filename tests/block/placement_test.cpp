// SPDX-License-Identifier: MIT
// The table norm x placement.

#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>
#include <eigenformer/norm/scale_norm.hpp>

#include <gtest/gtest.h>

#include "block/placement_case.hpp"
#include "reference/central_difference.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using placement::Case;
using placement::Sequence;

namespace {

/// Every placement of each norm; the last one is Sub-LN (Wang et al. 2022, "Foundation Transformers").
template <class... Norms>
using Table =
    testing::Types<Case<ef::PostNorm, Norms>..., Case<ef::PreNorm, Norms>..., Case<ef::Sandwich, Norms>...,
                   Case<ef::DeepNorm, Norms>..., Case<ef::ParallelBlock, Norms>..., Case<ef::PreNorm, Norms, Norms>...>;

template <class C>
struct PlacementOf : testing::Test {
  PlacementOf() {
    // Gains of one and biases of zero hide mistakes.
    block.visit_parameters([&](const ef::Name&, auto& parameter) {
      for (double& value : parameter.values()) value += 0.1 * random.normal();
    });
  }
  Sequence sequence(Index batch, Index length) {
    Sequence x(batch, length, C::dim);
    support::fill(x, support::Distribution::normal, random);
    return x;
  }
  typename C::Block block = C::make();
  support::Generator random{1};
  ef::Context context;
};
using Cases = Table<ef::LayerNorm<double>, ef::RmsNorm<double>, ef::ScaleNorm<double>>;
TYPED_TEST_SUITE(PlacementOf, Cases);

}  // namespace

TYPED_TEST(PlacementOf, equals_its_formula) {
  const Sequence x = this->sequence(2, 11);
  const Sequence expected = placement::formula(this->block, x);
  EXPECT_TRUE(within(support::worst_row_nmse(this->block(x, ef::Causal{}), expected, TypeParam::dim), 1e-29));
  Sequence y = x;
  typename TypeParam::Block::Cache cache;
  this->block.forward(y, y, ef::Causal{}, this->context, &cache);
  EXPECT_TRUE(within(support::worst_row_nmse(y, expected, TypeParam::dim), 1e-29)) << "in place, with a cache";
}

TYPED_TEST(PlacementOf, gradients_equal_differences) {
  Sequence x = this->sequence(2, 3);
  const Sequence dy = this->sequence(2, 3);
  Sequence y(x.dimensions()), dx(x.dimensions());
  typename TypeParam::Block::Cache cache;
  this->block.forward(x, y, ef::Causal{}, this->context, &cache);
  this->block.backward(dy, cache, dx, this->context);
  const auto loss = [&] {
    this->block.forward(x, y, ef::Causal{}, this->context);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += dy.data()[i] * y.data()[i];
    return sum;
  };
  const auto check = [&](double& value, double gradient, const std::string& name) {
    const double expected = reference::central_difference(value, tolerance::difference_step, loss);
    ASSERT_NEAR(gradient, expected, tolerance::difference_abs + tolerance::difference_rel * std::abs(expected)) << name;
  };
  for (Index i = 0; i < x.size(); ++i) check(x.data()[i], dx.data()[i], "x");
  this->block.visit_parameters([&](const ef::Name& name, auto& parameter) {
    ASSERT_EQ(parameter.gradients().size(), parameter.values().size()) << name.str();
    const std::size_t stride = parameter.values().size() > 100 ? 7 : 1;
    for (std::size_t i = 0; i < parameter.values().size(); i += stride) {
      check(parameter.values()[i], parameter.gradients()[i], name.str());
    }
  });
  Sequence over = dy;
  this->block.backward(over, cache, over, this->context);
  EXPECT_TRUE(support::bit_equal(over, dx)) << "dx over dy";
}

TYPED_TEST(PlacementOf, step_by_step_equals_all_at_once) {
  const Sequence x = this->sequence(2, 7);
  const Sequence whole = this->block(x, ef::Causal{});
  auto key_values = this->block.key_value_cache(2, 7);
  for (Index l = 0; l < 7; ++l) {
    const std::array<Index, 3> first = {0, l, 0}, extents = {2, 1, TypeParam::dim};
    const Sequence one = x.slice(first, extents), expected = whole.slice(first, extents);
    Sequence y(2, 1, TypeParam::dim);
    this->block.forward(one, y, ef::Causal{}, key_values, this->context);
    EXPECT_TRUE(
        within(support::worst_row_nmse(y, expected, TypeParam::dim), 4 * tolerance::attention_row_nmse<double>(4)));
  }
}

TYPED_TEST(PlacementOf, refuses_a_norm_of_another_width_before_it_writes) {
  const Sequence x = this->sequence(2, 3);
  typename TypeParam::Block::Options options;
  options.norm.dim = TypeParam::dim + 1;
  options.attention = {.dim = TypeParam::dim, .heads = 4, .head_dim = 6};
  options.feed_forward = {.dim = TypeParam::dim, .hidden = 17};
  const typename TypeParam::Block wrong(options, ef::Random(3));
  Sequence y = x;
  EXPECT_THROW(wrong.forward(x, y, ef::Causal{}, this->context), ef::ShapeError);
  EXPECT_TRUE(support::bit_equal(y, x));
}
