// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/linear/bit_linear.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include <gtest/gtest.h>

#include "reference/bit_linear.hpp"
#include "reference/gemm.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

static_assert(ef::Projection<ef::BitLinear<float>, float> && ef::Projection<ef::BitLinear<double>, double>);
static_assert(!ef::Projection<ef::BitLinear<float>, double>);

namespace {

using Ternary = ef::TernaryWeights;
template <class T>
using Paper = ef::BitLinear<T>;
template <class T>
using Literal =
    ef::BitLinear<T, ef::BinaryWeights, ef::PlainLayerNorm<T>, ef::Absmax<ef::SignedRange, ef::LiteralClip>>;
template <class T>
using Unsigned = ef::BitLinear<T, ef::BinaryWeights, ef::PlainLayerNorm<T>, ef::Absmax<ef::UnsignedRange>>;
template <class T>
using LiteralUnsigned =
    ef::BitLinear<T, ef::BinaryWeights, ef::PlainLayerNorm<T>, ef::Absmax<ef::UnsignedRange, ef::LiteralClip>>;
template <class T>
using Shifted = ef::BitLinear<T, ef::BinaryWeights, ef::PlainLayerNorm<T>, ef::Absmax<ef::ShiftedUnsignedRange>>;
template <class T>
using Rms158 = ef::BitLinear<T, Ternary, ef::RmsNorm<T>, ef::Absmax158>;
template <class T>
using Bare158 = ef::BitLinear<T, Ternary, ef::NoNorm<T>, ef::Absmax158>;

template <class T>
class BitLinearOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(BitLinearOf, Scalars);

/// 2 ulp of what double makes of the same whole numbers, gamma and scale; those have an error of their own, from the norm
/// in front and the mean, which golden outputs show.
template <class T>
constexpr double golden_abs(double largest) {
  return 8 * tolerance::epsilon<T> * largest;
}

template <class T, class Layer>
Layer layer_of(const support::Golden& golden, typename Layer::Options options = {}) {
  std::optional<ef::Vector<T>> bias;
  if (golden.contains("bias")) bias = golden.vector<T>("bias");
  Layer layer(ef::Linear<T>(golden.matrix<T>("W"), bias), options);
  if constexpr (requires { layer.norm.weight; }) layer.norm.weight.value = golden.vector<T>("norm_weight");
  return layer;
}

/// Outputs, codes and gradients of one golden case.
template <class T, class Layer>
void expect_golden(const std::string& name, std::string_view output, std::string_view codes,
                   typename Layer::Options options = {}, bool has_gradients = true) {
  const support::Golden golden(name);
  Layer layer = layer_of<T, Layer>(golden, options);
  const ef::Tensor<T, 3> x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> dy = golden.tensor<T, 3>("d_y");
  ef::Tensor<T, 3> y = layer.output_like(x), dx(x.dimensions());
  ef::Context context;
  typename Layer::Cache cache;
  layer.forward(x, y, context, &cache);
  const auto expected = golden.values<double>(output);
  double largest = 0;
  for (const double value : expected) largest = (std::max)(largest, std::abs(value));
  EXPECT_TRUE(support::within(support::max_error(y, expected), golden_abs<T>(largest))) << name << " " << output;
  if constexpr (std::is_same_v<typename Layer::Code, std::int8_t>) {
    using Stored = std::conditional_t<Layer::Range::subtracts_minimum, std::uint8_t, std::int8_t>;
    const auto expected_codes = golden.values<Stored>(codes);
    for (std::size_t i = 0; i < expected_codes.size(); ++i) {
      ASSERT_EQ(int{cache.codes.values()[i]}, int{expected_codes[i]}) << name << " code " << i;
    }
  } else {
    EXPECT_TRUE(
        support::within(support::max_error(cache.codes.values(), golden.values<double>(codes)), golden_abs<T>(128)))
        << name;
  }
  if (!has_gradients) return;
  layer.backward(dy, cache, dx, context);
  const double limit = 1e-12;  // of a row's square: stored gradients are rounded to float
  const Index in = layer.input_features();
  EXPECT_TRUE(support::within(support::worst_row_nmse(dx, golden.values<double>("grad.x"), in), limit)) << name;
  EXPECT_TRUE(
      support::within(support::worst_row_nmse(layer.weight.gradient, golden.values<double>("grad.W"), in), limit))
      << name;
  if constexpr (requires { layer.norm.weight; }) {
    EXPECT_TRUE(support::within(
        support::worst_row_nmse(layer.norm.weight.gradient, golden.values<double>("grad.norm_weight"), in), limit));
  }
}

}  // namespace

TYPED_TEST(BitLinearOf, equals_the_paper_of_2023) {
  using T = TypeParam;
  expect_golden<T, Paper<T>>("bitlinear2023_token", "y", "x_q");
  expect_golden<T, Literal<T>>("bitlinear2023_token", "y_literal", "x_literal", {}, false);
  expect_golden<T, Unsigned<T>>("bitlinear2023_unsigned", "y", "x_q");
  expect_golden<T, LiteralUnsigned<T>>("bitlinear2023_unsigned", "y_literal", "x_literal", {}, false);
  expect_golden<T, Shifted<T>>("bitlinear2023_unsigned", "y_eta_added", "x_q", {}, false);
  expect_golden<T, Paper<T>>("bitlinear2023_groups_out", "y", "x_q", {.groups = {.outputs = 4}});
  expect_golden<T, Literal<T>>("bitlinear2023_groups_out", "y_literal", "x_literal", {.groups = {.outputs = 4}}, false);
}

TYPED_TEST(BitLinearOf, equals_bitnet_158) {
  using T = TypeParam;
  expect_golden<T, Rms158<T>>("bitlinear158_norm", "y", "x_q", {.norm = {.epsilon = 1e-5}});
  expect_golden<T, Bare158<T>>("bitlinear158_nonorm_bias", "y", "x_q");
}

namespace {

template <class T>
std::vector<double> codes_of(const ef::Matrix<T>& weight, ef::WeightGroups groups, std::vector<T>& scales,
                             bool ternary) {
  std::vector<float> codes(static_cast<std::size_t>(weight.size()));
  scales.resize(static_cast<std::size_t>(groups.count()));
  ef::Context context;
  if (ternary) {
    ef::quantize_weight<Ternary, T>(weight, groups, codes.data(), scales.data(), context);
  } else {
    ef::quantize_weight<ef::BinaryWeights, T>(weight, groups, codes.data(), scales.data(), context);
  }
  return {codes.begin(), codes.end()};
}

template <class T>
reference::Array<long double> wide(const ef::Matrix<T>& x) {
  return reference::widened<long double>(x.data(), {x.rows(), x.cols()});
}

/// A layer without a norm against the reference, forward and backward.
template <class T, class Layer>
void expect_reference(const reference::BitLinearCase& c, Index rows, Index in, Index out, support::Distribution kind,
                      support::Generator& random) {
  ef::Matrix<T> x(rows, in), weight(out, in), dy(rows, out);
  ef::Vector<T> bias(out);
  support::fill(x, kind, random);
  const bool extreme = kind == support::Distribution::huge || kind == support::Distribution::tiny;
  support::fill(weight, extreme ? support::Distribution::normal : kind, random);
  support::fill(bias, support::Distribution::normal, random);
  support::fill(dy, support::Distribution::normal, random);
  Layer layer(ef::Linear<T>(weight, bias),
              {.bits = static_cast<int>(c.bits), .groups = {Index(c.output_groups), Index(c.input_groups)}});
  const auto expected =
      reference::bit_linear(wide(x), wide(weight), reference::widened<long double>(bias.data(), {out}), c);
  ef::Context context;
  typename Layer::Cache cache;
  ef::Matrix<T> y(rows, out), dx(rows, in);
  layer.forward(x, y, context, &cache);
  const std::string where = std::string(name(kind)) + " " + std::to_string(rows) + " x " + std::to_string(in) + " x " +
                            std::to_string(out) + " bits " + std::to_string(c.bits) + " groups " +
                            std::to_string(c.output_groups) + " " + std::to_string(c.input_groups);
  // A number within rounding of a half may get either code; then the rest differs too. It happens to few.
  std::size_t other = 0;
  for (std::size_t i = 0; i < expected.codes.values.size(); ++i) {
    const double gap =
        std::abs(static_cast<double>(cache.codes.values()[i]) - static_cast<double>(expected.codes.values[i]));
    ASSERT_LE(gap, 1) << where;
    if (gap > 0) ++other;
  }
  std::vector<T> scales;
  const auto weight_codes = codes_of(weight, layer.groups, scales, c.ternary);
  for (std::size_t i = 0; i < weight_codes.size(); ++i) {
    if (weight_codes[i] != static_cast<double>(expected.weight_codes.values[i])) ++other;
  }
  ASSERT_LE(static_cast<double>(other), 2 + 1e-3 * static_cast<double>(x.size() + weight.size())) << where;
  if (other > 0) return;
  // The sums are whole numbers; gamma and scale are rounded once each and y once. The scale is a mean that was summed in
  // double, eight sums side by side.
  const auto of_scale = static_cast<double>(in * out / (c.output_groups * c.input_groups) / 8 + 8);
  const double limit = 2 * tolerance::epsilon<T> + of_scale * tolerance::epsilon<double>;
  for (Index n = 0; n < rows; ++n) {
    for (Index o = 0; o < out; ++o) {
      double size = std::abs(static_cast<double>(bias[o]));
      for (Index i = 0; i < in; ++i) {
        size += static_cast<double>(expected.x_size(n, i) * std::abs(expected.w_deq(o, i)));
      }
      const double error = std::abs(static_cast<double>(static_cast<long double>(y(n, o)) - expected.y(n, o)));
      EXPECT_FALSE(!(error <= limit * size + 1e-300)) << where << " at " << n << " " << o;
    }
  }
  layer.backward(dy, cache, dx, context);
  const auto gradients = reference::linear_backward(expected.x_deq, expected.w_deq, wide(dy));
  const auto absolute = [](reference::Array<long double> a) {
    for (auto& value : a.values) value = std::abs(value);
    return a;
  };
  const auto sizes = reference::linear_backward(expected.x_size, absolute(expected.w_deq), absolute(wide(dy)));
  EXPECT_TRUE(support::within(support::dot_product_error(dx, gradients.dx, sizes.dx), tolerance::gemm_c)) << where;
  EXPECT_TRUE(support::within(support::dot_product_error(layer.weight.gradient, gradients.dweight, sizes.dweight),
                              tolerance::gemm_c))
      << where;
  EXPECT_TRUE(support::within(support::dot_product_error(layer.bias->gradient, gradients.dbias, sizes.dbias),
                              tolerance::gemm_c))
      << where;
}

template <class T, class Weights, class Activations>
using Bare = ef::BitLinear<T, Weights, ef::NoNorm<T>, Activations>;

}  // namespace

TYPED_TEST(BitLinearOf, equals_the_reference_for_every_quantiser_group_and_number_of_bits) {
  using T = TypeParam;
  support::Generator random(71);
  int cases = 0;
  for (const auto kind : {support::Distribution::normal, support::Distribution::uniform, support::Distribution::spike,
                          support::Distribution::tiny, support::Distribution::huge}) {
    for (const long bits : {2, 3, 4, 8}) {
      for (const auto& [outputs, inputs] : {std::pair{1, 1}, {3, 1}, {1, 5}, {2, 7}}) {
        const Index in = 11 * inputs, out = 13 * outputs;
        const bool normal_size = kind != support::Distribution::huge && kind != support::Distribution::tiny;
        reference::BitLinearCase c = {.bits = bits, .output_groups = outputs, .input_groups = inputs};
        expect_reference<T, Bare<T, ef::BinaryWeights, ef::Absmax<>>>(c, 5, in, out, kind, random);
        c.per_tensor = true;
        using OfTensor = ef::Absmax<ef::SignedRange, ef::NearestEven, ef::PerTensor>;
        expect_reference<T, Bare<T, ef::BinaryWeights, OfTensor>>(c, 5, in, out, kind, random);
        c.per_tensor = false;
        c.is_unsigned = true;
        expect_reference<T, Bare<T, ef::BinaryWeights, ef::Absmax<ef::UnsignedRange>>>(c, 5, in, out, kind, random);
        c.adds_minimum = true;
        expect_reference<T, Bare<T, ef::BinaryWeights, ef::Absmax<ef::ShiftedUnsignedRange>>>(c, 5, in, out, kind,
                                                                                              random);
        if (normal_size) {  // b1.58 has scales of at least 1e-5
          c = {.ternary = true, .bits = bits, .output_groups = outputs, .input_groups = inputs};
          expect_reference<T, Bare<T, Ternary, ef::Absmax158>>(c, 7, in, out, kind, random);
        }
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, 5 * 4 * 4);
}

TYPED_TEST(BitLinearOf, keeps_sums_exact_at_the_extremes_of_codes) {
  using T = TypeParam;
  // 127 everywhere and -127, alternating: the largest sums there are, in any order.
  for (const Index in : {1, 7, 4099, 70001}) {
    ef::Matrix<T> weight(3, in), x(4, in);
    for (Index i = 0; i < in; ++i) {
      weight(0, i) = 1;
      weight(1, i) = -1;
      weight(2, i) = i % 2 == 0 ? T(1) : T(-1);
      x(0, i) = 1;
      x(1, i) = -1;
      x(2, i) = i % 2 == 0 ? T(1) : T(-1);
      x(3, i) = 0;
    }
    const ef::BitLinear<T, Ternary, ef::NoNorm<T>, ef::Absmax158> layer((ef::Linear<T>(weight)));
    const ef::Matrix<T> y = layer(x);
    const auto odd = static_cast<T>(in % 2);
    const auto all = static_cast<T>(in);
    const T expected[4][3] = {{all, -all, odd}, {-all, all, -odd}, {odd, -odd, all}, {0, 0, 0}};
    for (Index n = 0; n < 4; ++n) {
      for (Index o = 0; o < 3; ++o) ASSERT_EQ(y(n, o), expected[n][o]) << in << " " << n << " " << o;
    }
  }
}

TYPED_TEST(BitLinearOf, gives_codes_to_even_around_every_half) {
  using T = TypeParam;
  // gamma 127 makes the codes of b1.58 the numbers themselves.
  int cases = 0;
  for (int half = -253; half <= 253; half += 2) {
    const T tie = static_cast<T>(half) / 2;
    for (const T value : {std::nextafter(tie, T(-1000)), tie, std::nextafter(tie, T(1000))}) {
      ef::Matrix<T> x(1, 2);
      x << T(127), value;
      std::int8_t codes[2];
      T gamma[1];
      ef::Context context;
      ef::quantize_rows<ef::Absmax158>(ef::ConstRowsView<T>(x), 8, ef::QuantizedRows<T>{codes, gamma, nullptr},
                                       context);
      ASSERT_EQ(double(codes[1]), reference::to_even(static_cast<double>(value))) << value;
      ++cases;
    }
  }
  EXPECT_EQ(cases, 254 * 3);
}

TYPED_TEST(BitLinearOf, gives_ternary_codes_to_even_around_half_the_scale) {
  using T = TypeParam;
  for (const T value : {T(0.5), T(-0.5), std::nextafter(T(0.5), T(1)), std::nextafter(T(-0.5), T(-1)),
                        std::nextafter(T(0.5), T(0)), std::nextafter(T(-0.5), T(0)), T(0), T(1), T(1.5), T(-7)}) {
    // One weight more makes the mean magnitude 1.
    ef::Matrix<T> weight(1, 2);
    weight << value, T(2) - std::abs(value);
    if (std::abs(value) > 2) weight(0, 1) = 0;
    std::vector<T> scales;
    const auto codes = codes_of(weight, {}, scales, true);
    const double scale = (std::abs(double(weight(0, 0))) + std::abs(double(weight(0, 1)))) / 2;
    EXPECT_EQ(codes[0], std::min(std::max(reference::to_even(double(value) / scale), -1.0), 1.0)) << value;
  }
}

TYPED_TEST(BitLinearOf, zero_weights_and_zero_rows_give_the_bias) {
  using T = TypeParam;
  ef::Vector<T> bias(3);
  bias << T(1), T(-2), T(0.25);
  const ef::BitLinear<T> no_weight(ef::Linear<T>(ef::Matrix<T>::Zero(3, 5), bias));
  ef::Matrix<T> x(4, 5);
  support::Generator random(5);
  support::fill(x, support::Distribution::normal, random);
  const ef::Matrix<T> y = no_weight(x);
  for (Index n = 0; n < 4; ++n) EXPECT_TRUE(support::bit_equal(ef::Vector<T>(y.row(n)), bias));
  x.row(2).setZero();
  ef::Matrix<T> weight(3, 5);
  support::fill(weight, support::Distribution::normal, random);
  const ef::BitLinear<T, ef::BinaryWeights, ef::NoNorm<T>> layer(ef::Linear<T>(weight, bias));
  EXPECT_TRUE(support::bit_equal(ef::Vector<T>(layer(x).row(2)), bias));
  EXPECT_TRUE(support::all_finite(layer(ef::Matrix<T>(ef::Matrix<T>::Zero(4, 5)))));
}

TYPED_TEST(BitLinearOf, a_row_that_is_not_finite_is_nan_alone) {
  using T = TypeParam;
  support::Generator random(6);
  ef::Matrix<T> x(5, 7);
  support::fill(x, support::Distribution::normal, random);
  const ef::BitLinear<T, ef::BinaryWeights, ef::NoNorm<T>> layer({.in_features = 7, .out_features = 3}, ef::Random(7));
  const ef::Matrix<T> expected = layer(x);
  x(1, 2) = std::numeric_limits<T>::quiet_NaN();
  x(3, 0) = -std::numeric_limits<T>::infinity();
  const ef::Matrix<T> y = layer(x);
  for (Index n = 0; n < 5; ++n) {
    for (Index o = 0; o < 3; ++o) {
      if (n == 1 || n == 3) {
        EXPECT_TRUE(support::is_nan(double(y(n, o))));
      } else {
        EXPECT_EQ(y(n, o), expected(n, o));
      }
    }
  }
}

TYPED_TEST(BitLinearOf, groups_are_computed_without_each_other) {
  using T = TypeParam;
  support::Generator random(8);
  ef::Matrix<T> x(5, 14), weight(15, 14);
  support::fill(x, support::Distribution::normal, random);
  support::fill(weight, support::Distribution::normal, random);
  const ef::BitLinear<T> by_outputs(ef::Linear<T>(weight), {.groups = {.outputs = 3}});
  const ef::BitLinear<T> by_inputs(ef::Linear<T>(weight), {.groups = {.inputs = 2}});
  ef::Matrix<T> together(5, 15), sum = ef::Matrix<T>::Zero(5, 15);
  for (Index g = 0; g < 3; ++g) {
    together.middleCols(5 * g, 5) = ef::BitLinear<T>(ef::Linear<T>(ef::Matrix<T>(weight.middleRows(5 * g, 5))))(x);
  }
  EXPECT_TRUE(support::bit_equal(by_outputs(x), together));
  double size = 0;
  for (Index g = 0; g < 2; ++g) {
    const ef::Matrix<T> part = ef::BitLinear<T>(ef::Linear<T>(ef::Matrix<T>(weight.middleCols(7 * g, 7))))(
        ef::Matrix<T>(x.middleCols(7 * g, 7)));
    size += double(part.cwiseAbs().maxCoeff());
    sum += part;
  }
  EXPECT_TRUE(support::within(support::max_error(by_inputs(x), sum), 4 * tolerance::epsilon<T> * size));
}

TYPED_TEST(BitLinearOf, trains_the_latent_weight_until_codes_change) {
  using T = TypeParam;
  support::Generator random(9);
  ef::Matrix<T> x(64, 16), teacher(8, 16);
  support::fill(x, support::Distribution::normal, random);
  support::fill(teacher, support::Distribution::normal, random);
  const ef::BitLinear<T, ef::BinaryWeights, ef::NoNorm<T>> target((ef::Linear<T>(teacher)));
  const ef::Matrix<T> wanted = target(x);
  ef::BitLinear<T, ef::BinaryWeights, ef::NoNorm<T>> layer({.in_features = 16, .out_features = 8, .bias = false},
                                                           ef::Random(10));
  ef::Context context;
  typename decltype(layer)::Cache cache;
  ef::Matrix<T> y(64, 8), dx(64, 16);
  T first = 0, last = 0;
  for (int step = 0; step < 300; ++step) {
    layer.forward(x, y, context, &cache);
    ef::Matrix<T> dy = (y - wanted) / T(64);
    last = dy.squaredNorm();
    if (step == 0) first = last;
    ef::zero_gradients(layer);
    layer.backward(dy, cache, dx, context);
    layer.weight.value -= T(0.05) * layer.weight.gradient;
  }
  EXPECT_LT(last, T(0.05) * first);
}

TYPED_TEST(BitLinearOf, a_frozen_weight_has_no_gradient) {
  using T = TypeParam;
  ef::BitLinear<T> layer({.in_features = 7, .out_features = 3}, ef::Random(7));
  ef::BitLinear<T> trained = layer;
  ef::set_training(layer, ef::Training::frozen);
  support::Generator random(11);
  ef::Matrix<T> x(5, 7), dy(5, 3), y(5, 3), dx(5, 7), expected(5, 7);
  support::fill(x, support::Distribution::normal, random);
  support::fill(dy, support::Distribution::normal, random);
  ef::Context context;
  typename ef::BitLinear<T>::Cache cache;
  layer.forward(x, y, context, &cache);
  layer.backward(dy, cache, dx, context);
  trained.forward(x, y, context, &cache);
  trained.backward(dy, cache, expected, context);
  EXPECT_EQ(layer.weight.gradient.size(), 0);
  EXPECT_EQ(layer.bias->gradient.size(), 0);
  EXPECT_TRUE(support::bit_equal(dx, expected));
}

TYPED_TEST(BitLinearOf, rejects_what_does_not_fit) {
  using T = TypeParam;
  using Layer = ef::BitLinear<T>;
  EXPECT_THROW(Layer({.in_features = 0, .out_features = 3}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Layer({.in_features = 3, .out_features = 3, .bits = 9}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Layer({.in_features = 3, .out_features = 3, .bits = 1}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Layer({.in_features = 3, .out_features = 4, .groups = {.outputs = 3}}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Layer({.in_features = 3, .out_features = 4, .groups = {.inputs = 2}}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Layer({.in_features = 4, .out_features = 4, .groups = {.inputs = 0}}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Layer(ef::Linear<T>(ef::Matrix<T>::Ones(3, 4)), {.norm = {.dim = 3}}), ef::ShapeError);
  Layer layer({.in_features = 4, .out_features = 3}, ef::Random(1));
  ef::Context context;
  typename Layer::Cache cache;
  ef::Matrix<T> x = ef::Matrix<T>::Ones(5, 4), y = ef::Matrix<T>::Constant(5, 3, T(7)), dx(5, 4);
  EXPECT_THROW(layer.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(5, 3)), y, context), ef::ShapeError);
  EXPECT_THROW(layer.backward(y, cache, dx, context), ef::ShapeError);
  layer.bits = 12;
  EXPECT_THROW(layer.forward(x, y, context), ef::OptionError);
  EXPECT_TRUE((y.array() == T(7)).all());
}
