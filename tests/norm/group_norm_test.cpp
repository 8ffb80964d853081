// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/norm/batch_norm.hpp>
#include <eigenformer/norm/group_norm.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <gtest/gtest.h>

#include "norm/channel_case.hpp"
#include "support/allocation.hpp"
#include "support/golden.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using channel_case::as_items;
using ef::Index;
using norm_case::Case;
using norm_case::wide;
using support::Distribution;

static_assert(!ef::TokenwiseBlock<ef::GroupNorm<float>, float>, "a position's result depends on the others");

namespace {

template <class T>
ef::GroupNorm<T> norm_of(const Case<T>& c, Index groups, double epsilon = 1e-5) {
  ef::GroupNorm<T> norm({.dim = c.x.cols(), .groups = groups, .epsilon = epsilon});
  norm.weight->value = c.weight;
  norm.bias->value = c.bias;
  return norm;
}

/// [items rows, C] as [items, rows, C].
template <class T>
ef::ConstTensorView<T, 3> view(const ef::Matrix<T>& m, Index items) {
  return {m.data(), items, m.rows() / items, m.cols()};
}
template <class T>
ef::TensorView<T, 3> view(ef::Matrix<T>& m, Index items) {
  return {m.data(), items, m.rows() / items, m.cols()};
}

template <class T>
void expect_golden() {
  const support::Golden golden("group_norm_3x12x5x6_g4");
  const auto read = [&]<class U>(std::string_view tensor, U) {
    return channel_case::channels_last(golden.values<U>(tensor), 3, 12, 30);
  };
  ef::GroupNorm<T> norm({.dim = 12,
                         .groups = static_cast<Index>(golden.parameter<std::int64_t>("num_groups")),
                         .epsilon = golden.parameter<double>("eps")});
  norm.weight->value = golden.vector<T>("weight");
  norm.bias->value = golden.vector<T>("bias");
  const ef::Matrix<T> x = read("x", T()), dy = read("d_y", T());
  ef::Matrix<T> y(90, 12), dx(90, 12);
  typename ef::GroupNorm<T>::Cache cache;
  ef::Context context;
  // As an image [batch, height, width, C], and as a sequence.
  norm.forward(ef::ConstTensorView<T, 4>(x.data(), 3, 5, 6, 12), ef::TensorView<T, 4>(y.data(), 3, 5, 6, 12), context,
               &cache);
  norm.backward(view(dy, 3), cache, view(dx, 3), context);
  const double gain = static_cast<double>(norm.weight->value.cwiseAbs().maxCoeff());
  EXPECT_TRUE(support::within(support::max_error(y, read("y", double())), tolerance::norm_abs<T>(gain)));
  EXPECT_TRUE(support::within(support::worst_row_nmse(dx, read("grad.x", double()), dx.size()), 1e-12));
  EXPECT_TRUE(
      support::within(support::worst_row_nmse(norm.weight->gradient, golden.values<double>("grad.weight"), 12), 1e-12));
  EXPECT_TRUE(
      support::within(support::worst_row_nmse(norm.bias->gradient, golden.values<double>("grad.bias"), 12), 1e-12));
}

template <class T>
void expect_reference(const Case<T>& c, Index items, Index groups, double epsilon, ef::InstructionSet set,
                      const std::string& name) {
  ef::GroupNorm<T> norm = norm_of(c, groups, epsilon);
  ef::Context context({.instruction_set = set});
  typename ef::GroupNorm<T>::Cache cache;
  ef::Matrix<T> y(c.x.rows(), c.x.cols()), dx(c.x.rows(), c.x.cols());
  norm.forward(view(c.x, items), view(y, items), context, &cache);
  norm.backward(view(c.dy, items), cache, view(dx, items), context);
  const auto x = channel_case::wide_from_first(c.x, items, groups);
  const auto exact = reference::channel_norm<long double>(x, groups, wide(c.weight), wide(c.bias), epsilon);
  const auto gradients =
      reference::channel_norm_backward<long double>(x, groups, wide(c.weight), epsilon, as_items(c.dy, items));
  const auto where = name + " " + std::string(ef::name(set)) + " " + std::to_string(items) + " x " +
                     std::to_string(c.x.rows() / items) + " x " + std::to_string(c.x.cols()) + " in " +
                     std::to_string(groups);
  double largest = 1;
  for (const long double number : exact.y.values) largest = (std::max)(largest, static_cast<double>(std::abs(number)));
  EXPECT_TRUE(support::within(support::max_error(y, exact.y, largest), tolerance::norm_abs<T>(c.largest_gain())))
      << where;
  channel_case::expect_dx(dx, gradients.dx, c.weight, c.dy, exact.variance, epsilon, where);
  const double scale = std::sqrt(static_cast<double>(c.x.rows()));
  EXPECT_TRUE(support::within(support::max_error(norm.weight->gradient, gradients.dweight, scale),
                              32 * tolerance::epsilon<T> * largest))
      << where;
  EXPECT_TRUE(
      support::within(support::max_error(norm.bias->gradient, gradients.dbias, scale), 32 * tolerance::epsilon<T>))
      << where;
}

struct Shape {
  Index items, positions, channels, groups;
};
constexpr Shape shapes[] = {{3, 7, 6, 3},   {2, 1, 10, 2},   {1, 61, 31, 31},
                            {5, 13, 38, 1}, {2, 67, 78, 13}, {2, 4099, 66, 6}};

}  // namespace

TEST(GroupNorm, matches_pytorch) {
  expect_golden<float>();
  expect_golden<double>();
}

TEST(GroupNorm, equals_the_reference_on_every_instruction_set_and_distribution) {
  support::Generator random(221);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (const Distribution distribution : support::distributions) {
      for (const Shape& s : shapes) {
        if (s.positions > 1000 && distribution != Distribution::normal && distribution != Distribution::mean_1e6)
          continue;
        const std::string what(name(distribution));
        const Index rows = s.items * s.positions;
        expect_reference(Case<float>(rows, s.channels, distribution, random), s.items, s.groups, 1e-5, set, what);
        if (s.positions < 1000) {
          expect_reference(Case<double>(rows, s.channels, distribution, random), s.items, s.groups, 1e-5, set, what);
        }
        ++cases;
      }
    }
  }
  EXPECT_GE(cases, 47);
}

TEST(GroupNorm, of_any_finite_magnitude_is_right) {
  support::Generator random(222);
  for (const double magnitude : {1e-40, 1e-30, 1e-18, 1e18, 1e30, 1e37}) {
    for (const double epsilon : {1e-5, 0.0}) {
#if defined(__FAST_MATH__)
      if (magnitude < 1e-37 || magnitude > 1e36) continue;  // the program flushes such numbers and gradients
#endif
      Case<float> c(34, 6, Distribution::normal, random);
      for (Index i = 0; i < c.x.size(); ++i) c.x.data()[i] = static_cast<float>(magnitude * random.normal());
      expect_reference(c, 2, 3, epsilon, ef::best_instruction_set(), std::to_string(magnitude));
    }
  }
}

TEST(GroupNorm, of_equal_numbers_is_exactly_the_bias) {
  support::Generator random(223);
  for (const Index positions : {1, 7, 131}) {
    const Case<float> c(3 * positions, 14, Distribution::normal, random);
    const ef::GroupNorm<float> norm = norm_of(c, 2);
    ef::Context context;
    for (const float constant : {0.0F, 0.1F, 12345.678F, 1e18F, -1e30F, 3e38F, 1e-42F}) {
      ef::Matrix<float> y = ef::Matrix<float>::Constant(3 * positions, 14, constant);
      norm.forward(view(y, 3), view(y, 3), context);
      for (Index i = 0; i < y.size(); ++i) ASSERT_EQ(y.data()[i], c.bias[i % 14]) << constant;
    }
  }
}

TEST(GroupNorm, with_as_many_groups_as_channels_normalises_each_channel_of_each_item) {
  support::Generator random(224);
  const Case<float> c(3 * 17, 5, Distribution::normal, random);
  const ef::GroupNorm<float> instance = norm_of(c, 5);
  ef::Context context;
  ef::Matrix<float> y(3 * 17, 5);
  instance.forward(view(c.x, 3), view(y, 3), context);
  for (Index b = 0; b < 3; ++b) {
    ef::BatchNorm<float> batch({.dim = 5});
    batch.weight->value = c.weight;
    batch.bias->value = c.bias;
    ef::BatchNorm<float>::Cache cache;
    const ef::Matrix<float> item = c.x.middleRows(b * 17, 17);
    ef::Matrix<float> expected(17, 5);
    batch.forward(item, expected, context, &cache);
    EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(y.middleRows(b * 17, 17)), expected));
  }
}

TEST(GroupNorm, of_a_matrix_in_one_group_is_layer_norm) {
  support::Generator random(225);
  const Case<float> c(13, 31, Distribution::normal, random);
  const ef::Matrix<float> y = norm_of(c, 1)(c.x);
  const ef::Matrix<float> expected = ef::LayerNorm<float>(c.weight, c.bias)(c.x);
  EXPECT_TRUE(support::within(support::max_error(y, expected), 2 * tolerance::norm_abs<float>(c.largest_gain())));
  const ef::Vector<float> row = c.x.row(4);
  EXPECT_TRUE(support::bit_equal(norm_of(c, 1)(row), ef::Vector<float>(y.row(4))));
}

TEST(GroupNorm, treats_each_item_alone_and_gives_the_same_bits_for_any_number_of_threads) {
  support::Generator random(226);
  for (const Index positions : {67, 5003}) {  // all rows at once, and in parts
    const Case<float> c(3 * positions, 66, Distribution::normal, random);
    ef::GroupNorm<float> expected_norm = norm_of(c, 6);
    ef::GroupNorm<float>::Cache cache;
    ef::Context one;
    ef::Matrix<float> expected(c.x.rows(), 66), expected_dx(c.x.rows(), 66);
    expected_norm.forward(view(c.x, 3), view(expected, 3), one, &cache);
    expected_norm.backward(view(c.dy, 3), cache, view(expected_dx, 3), one);
    for (const int threads : {2, 3}) {
      ef::Context context({.threads = threads});
      ef::GroupNorm<float> norm = norm_of(c, 6);
      ef::Matrix<float> y = c.x, dx = c.dy;
      norm.forward(view(y, 3), view(y, 3), context, &cache);  // in place
      norm.backward(view(dx, 3), cache, view(dx, 3), context);
      EXPECT_TRUE(support::bit_equal(y, expected) && support::bit_equal(dx, expected_dx)) << threads;
      EXPECT_TRUE(support::bit_equal(norm.weight->gradient, expected_norm.weight->gradient));
      EXPECT_TRUE(support::bit_equal(norm.bias->gradient, expected_norm.bias->gradient));
    }
    const ef::Matrix<float> last = c.x.bottomRows(positions);
    ef::Matrix<float> alone(positions, 66);
    expected_norm.forward(view(last, 1), view(alone, 1), one);
    EXPECT_TRUE(support::bit_equal(alone, ef::Matrix<float>(expected.bottomRows(positions))));
  }
}

TEST(GroupNorm, rejects_bad_shapes_and_options_and_writes_nothing) {
  EXPECT_THROW(ef::GroupNorm<float>({.dim = 0}), ef::OptionError);
  EXPECT_THROW(ef::GroupNorm<float>({.dim = 6, .groups = 0}), ef::OptionError);
  EXPECT_THROW(ef::GroupNorm<float>({.dim = 6, .groups = 2, .epsilon = -1}), ef::OptionError);
  try {
    ef::GroupNorm<float>({.dim = 6, .groups = 4});
    FAIL();
  } catch (const ef::OptionError& error) {
    EXPECT_STREQ(error.what(), "GroupNorm: expected groups that divide dim 6, got 4");
  }
  ef::GroupNorm<float> norm({.dim = 6, .groups = 2});
  EXPECT_EQ(ef::parameter_count(norm), 12);
  EXPECT_EQ(ef::parameter_count(ef::GroupNorm<float>({.dim = 6, .groups = 2, .affine = false})), 0);
  ef::GroupNorm<float>::Cache cache;
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Ones(6, 6);
  ef::Matrix<float> y = ef::Matrix<float>::Constant(6, 6, 7), wide_y = ef::Matrix<float>::Constant(6, 7, 7);
  EXPECT_THROW(norm.forward(x, wide_y, context), ef::ShapeError);
  EXPECT_THROW(norm.forward(wide_y, y, context), ef::ShapeError);
  EXPECT_THROW(norm.backward(x, cache, y, context), ef::ShapeError);
  EXPECT_TRUE((y.array() == 7).all() && (wide_y.array() == 7).all());
  norm.forward(view(x, 2), view(y, 2), context, &cache);
  ef::Matrix<float> dx = ef::Matrix<float>::Constant(6, 6, 7);
  EXPECT_THROW(norm.backward(view(x, 3), cache, view(dx, 3), context), ef::ShapeError);  // other items
  EXPECT_EQ(norm.weight->gradient.size(), 0);
  EXPECT_TRUE((dx.array() == 7).all());
}
