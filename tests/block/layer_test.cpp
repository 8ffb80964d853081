// SPDX-License-Identifier: MIT

#include <eigenformer/block/layer.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <type_traits>
#include <vector>

#include "support/compare.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

/// y = weight x + 1, of rows: small whole numbers, so that every order of the parts gives another exact result.
struct Step : ef::Block<Step> {
  using Scalar = double;
  struct Cache {
    std::vector<double> x;
  };

  Step(double slope, Index features) : weight(ef::Vector<double>::Constant(1, slope)), width(features) {}
  void forward(ef::ConstRowsView<double> x, ef::RowsView<double> y, ef::Context&, Cache* cache = nullptr) const {
    if (cache) cache->x.assign(x.data(), x.data() + x.size());
    for (Index i = 0; i < x.size(); ++i) y.data()[i] = weight.value[0] * x.data()[i] + 1;
  }
  void backward(ef::ConstRowsView<double> dy, const Cache& cache, ef::RowsView<double> dx, ef::Context&) {
    for (Index i = 0; i < dy.size(); ++i) {
      weight.accumulated_gradient()[0] += dy.data()[i] * cache.x[static_cast<std::size_t>(i)];
      dx.data()[i] = weight.value[0] * dy.data()[i];
    }
  }
  Index input_features() const { return width; }
  Index output_features() const { return width; }
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }

  ef::Parameter<double> weight;
  Index width;
};

/// Stand-ins for a mask and a key/value cache: a factor, and a count of the positions that came.
struct Times {
  double factor = 1;
};
struct Positions {
  Index batch, capacity, count = 0;
};

/// y = factor x, of sequences.
struct Mixer : ef::Block<Mixer> {
  using Cache = Times;

  explicit Mixer(Index features) : width(features) {}
  void forward(ef::ConstTensorView<double, 3> x, ef::TensorView<double, 3> y, const Times& mask, ef::Context&,
               Cache* cache = nullptr) const {
    if (cache) *cache = mask;
    for (Index i = 0; i < x.size(); ++i) y.data()[i] = mask.factor * x.data()[i];
  }
  void forward(ef::ConstTensorView<double, 3> x, ef::TensorView<double, 3> y, const Times& mask, Positions& positions,
               ef::Context& context) const {
    positions.count += x.dimension(1);
    forward(x, y, mask, context);
  }
  void backward(ef::ConstTensorView<double, 3> dy, const Cache& cache, ef::TensorView<double, 3> dx, ef::Context&) {
    for (Index i = 0; i < dy.size(); ++i) dx.data()[i] = cache.factor * dy.data()[i];
  }
  Positions key_value_cache(Index batch, Index capacity) const { return {batch, capacity}; }
  Index input_features() const { return width; }
  Index output_features() const { return width; }
  static void members(auto&, auto&&) {}

  Index width;
};

/// The shortest placement: one part after the other, without residuals. What a Layer is derived from, it gives.
class Chain : public ef::Layer<Chain, ef::TwoNormParts<Step, Mixer, Step>> {
 public:
  using Base = ef::Layer<Chain, ef::TwoNormParts<Step, Mixer, Step>>;
  using Base::Base;
  static constexpr std::string_view block = "Chain";

 private:
  friend Base;
  using Read = ef::ConstTensorView<double, 3>;
  using Write = ef::TensorView<double, 3>;

  void run(Read x, Write y, ef::Context& context, Cache* cache, const auto& attend) const {
    attention_norm.forward(x, y, context, cache ? &cache->attention_norm : nullptr);
    attend(y, y);
    feed_forward_norm.forward(y, y, context, cache ? &cache->feed_forward_norm : nullptr);
    feed_forward.forward(y, y, context, cache ? &cache->feed_forward : nullptr);
  }
  void run_back(Read dy, const Cache& cache, Write dx, ef::Context& context) {
    feed_forward.backward(dy, cache.feed_forward, dx, context);
    feed_forward_norm.backward(dx, cache.feed_forward_norm, dx, context);
    attention.backward(dx, cache.attention, dx, context);
    attention_norm.backward(dx, cache.attention_norm, dx, context);
  }
};

static_assert(ef::SequenceBlock<Chain, double, Times>);
static_assert(!ef::TokenwiseBlock<Chain, double>);
static_assert(std::is_same_v<ef::scalar_of<Chain>, double>);

Chain chain(std::array<Index, 4> widths) {
  return {Step(2, widths[0]), Mixer(widths[1]), Step(3, widths[2]), Step(5, widths[3])};
}
constexpr Times mask = {.factor = 7};

ef::Tensor<double, 3> numbers(Index batch, Index length, Index features) {
  ef::Tensor<double, 3> x(batch, length, features);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<double>(i - 4);
  return x;
}
ef::Tensor<double, 3> expected_of(ef::Tensor<double, 3> x) {
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = 5 * (3 * (7 * (2 * x.data()[i] + 1)) + 1) + 1;
  return x;
}

/// Hears what runs.
struct Listener : ef::Profiler {
  void enter(std::string_view name) override { heard += std::string(name) + "("; }
  void leave() override { heard += ")"; }
  std::string heard;
};

template <class Call>
std::string complaint(const Call& call) {
  try {
    call();
  } catch (const ef::ShapeError& error) {
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST(Layer, runs_its_parts_forward_with_and_without_key_values_and_in_place) {
  const Chain block = chain({3, 3, 3, 3});
  ef::Context context;
  for (const auto& shape : {std::array<Index, 3>{2, 5, 3}, {1, 1, 3}, {0, 5, 3}, {2, 0, 3}}) {
    auto x = numbers(shape[0], shape[1], shape[2]);
    const auto expected = expected_of(x);
    ef::Tensor<double, 3> y(shape);
    block.forward(x, y, mask, context);
    EXPECT_TRUE(support::bit_equal(y, expected));
    EXPECT_TRUE(support::bit_equal(block(x, mask), expected));
    Positions positions = block.key_value_cache(shape[0], 11);
    EXPECT_EQ(positions.batch, shape[0]);
    EXPECT_EQ(positions.capacity, 11);
    y.setZero();
    block.forward(x, y, mask, positions, context);
    EXPECT_TRUE(support::bit_equal(y, expected));
    EXPECT_EQ(positions.count, shape[1]);
    block.forward(x, x, mask, context);
    EXPECT_TRUE(support::bit_equal(x, expected));
  }
}

TEST(Layer, takes_gradients_back_to_x_and_to_the_parameters_of_every_part) {
  Chain block = chain({3, 3, 3, 3});
  ef::Context context;
  Chain::Cache cache;
  const auto x = numbers(2, 5, 3);
  ef::Tensor<double, 3> y(2, 5, 3), dx(2, 5, 3), dy = numbers(2, 5, 3);
  block.forward(x, y, mask, context, &cache);
  EXPECT_TRUE(support::bit_equal(y, expected_of(x)));
  block.backward(dy, cache, dx, context);
  double first = 0, third = 0, last = 0;
  for (Index i = 0; i < x.size(); ++i) {
    EXPECT_EQ(dx.data()[i], 5 * 3 * 7 * 2 * dy.data()[i]);
    const double mixed = 7 * (2 * x.data()[i] + 1);
    first += 5 * 3 * 7 * dy.data()[i] * x.data()[i];
    third += 5 * dy.data()[i] * mixed;
    last += dy.data()[i] * (3 * mixed + 1);
  }
  EXPECT_EQ(block.attention_norm.weight.gradient[0], first);
  EXPECT_EQ(block.feed_forward_norm.weight.gradient[0], third);
  EXPECT_EQ(block.feed_forward.weight.gradient[0], last);
  block.backward(dy, cache, dy, context);
  EXPECT_TRUE(support::bit_equal(dy, dx));
}

TEST(Layer, rejects_each_part_that_does_not_fit_before_any_of_them_writes) {
  constexpr std::array names = {"attention_norm", "attention", "feed_forward_norm", "feed_forward"};
  ef::Context context;
  const auto x = numbers(2, 5, 3);
  const auto before = numbers(2, 5, 3);
  for (std::size_t part = 0; part < names.size(); ++part) {
    std::array<Index, 4> widths = {3, 3, 3, 3};
    widths[part] = 4;
    Chain block = chain(widths);
    auto y = before;
    Positions positions = {2, 11};
    Chain::Cache cache;
    cache.attention_norm.x = cache.feed_forward_norm.x = cache.feed_forward.x = std::vector<double>(30);
    const std::string expected = std::string("Chain: expected last dimension 4 for ") + names[part] + ", got 3";
    EXPECT_EQ(complaint([&] { block.forward(x, y, mask, context); }), expected);
    EXPECT_EQ(complaint([&] { block.forward(x, y, mask, positions, context); }), expected);
    EXPECT_EQ(complaint([&] { block.backward(x, cache, y, context); }), expected);
    EXPECT_TRUE(support::bit_equal(y, before));
    EXPECT_EQ(positions.count, 0);
  }
}

TEST(Layer, rejects_tensors_of_different_shapes_by_name) {
  Chain block = chain({3, 3, 3, 3});
  ef::Context context;
  const auto x = numbers(2, 5, 3);
  const auto before = numbers(2, 6, 3);
  auto y = before;
  Positions positions = {2, 11};
  Chain::Cache cache;
  cache.attention_norm.x = cache.feed_forward_norm.x = cache.feed_forward.x = std::vector<double>(30);
  EXPECT_EQ(complaint([&] { block.forward(x, y, mask, context); }),
            "Chain: expected y of shape [2, 5, 3], got [2, 6, 3]");
  EXPECT_EQ(complaint([&] { block.forward(x, y, mask, positions, context); }),
            "Chain: expected y of shape [2, 5, 3], got [2, 6, 3]");
  EXPECT_EQ(complaint([&] { block.backward(x, cache, y, context); }),
            "Chain: expected dx of shape [2, 5, 3], got [2, 6, 3]");
  EXPECT_TRUE(support::bit_equal(y, before));
}

TEST(Layer, names_its_parts_and_tells_the_profiler_its_placement) {
  Chain block = chain({3, 3, 3, 3});
  std::string names;
  block.visit_parameters([&](const ef::Name& name, const auto&) { names += name.str() + " "; });
  EXPECT_EQ(names, "attention_norm.weight feed_forward_norm.weight feed_forward.weight ");
  Listener listener;
  ef::Context context({.profiler = &listener});
  auto x = numbers(2, 5, 3);
  Positions positions = {2, 11};
  Chain::Cache cache;
  block.forward(x, x, mask, context, &cache);
  block.forward(x, x, mask, positions, context);
  block.backward(x, cache, x, context);
  EXPECT_EQ(listener.heard, "Chain()Chain()Chain()");
}
