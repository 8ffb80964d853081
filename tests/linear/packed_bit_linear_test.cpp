// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/linear/packed_bit_linear.hpp>
#include <eigenformer/norm/rms_norm.hpp>
#include <eigenformer/quantize/huggingface_ternary.hpp>

#include <gtest/gtest.h>

#include <filesystem>

#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using ef::InstructionSet;

static_assert(ef::Projection<ef::PackedBitLinear<float>, float> && ef::Projection<ef::PackedBitLinear<double>, double>);

namespace {

template <class T>
class PackedBitLinearOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(PackedBitLinearOf, Scalars);

template <class T>
ef::Matrix<T> normal(Index rows, Index features, std::uint64_t seed) {
  ef::Matrix<T> matrix(rows, features);
  support::Generator random(seed);
  support::fill(matrix, support::Distribution::normal, random);
  return matrix;
}

/// Outputs of a packed layer against those of its origin, whose sums are the same whole numbers: to the bit in float, and to
/// 2 ulp of the terms in double, where scales are multiplied in T.
template <class T, class Weights, class Activations>
int expect_the_trained_layer(ef::WeightGroups groups, InstructionSet set) {
  if (!ef::available(set)) return 0;
  using Layer = ef::BitLinear<T, Weights, ef::PlainLayerNorm<T>, Activations>;
  ef::Context context({.threads = 2, .instruction_set = set});
  int cases = 0;
  for (const Index in : {1, 7, 31, 131}) {
    for (const Index out : {1, 5, 61, 67}) {
      const Layer layer({.in_features = in * groups.inputs, .out_features = out * groups.outputs, .groups = groups},
                        ef::Random(3));
      const auto packed = layer.pack();
      for (const Index rows : {0, 1, 2, 5, 37}) {
        const ef::Matrix<T> x = normal<T>(rows, in * groups.inputs, 17);
        const ef::Matrix<T> expected = layer(x, context), y = packed(x, context);
        if (std::is_same_v<T, float>) {
          EXPECT_TRUE(support::bit_equal(y, expected)) << in << " x " << out << " rows " << rows;
        } else if (rows > 0) {
          const double size = 1 + static_cast<double>(expected.cwiseAbs().maxCoeff());
          EXPECT_TRUE(support::within(support::max_error(y, expected), 2 * tolerance::epsilon<T> * size));
        }
        ++cases;
      }
    }
  }
  return cases;
}

}  // namespace

TYPED_TEST(PackedBitLinearOf, gives_what_training_gives_on_every_instruction_set) {
  using T = TypeParam;
  int cases = 0;
  for (const InstructionSet set : ef::all_instruction_sets) {
    for (const ef::WeightGroups groups : {ef::WeightGroups{}, {3, 1}, {1, 2}, {2, 3}}) {
      cases += expect_the_trained_layer<T, ef::BinaryWeights, ef::Absmax<>>(groups, set);
      cases += expect_the_trained_layer<T, ef::TernaryWeights, ef::Absmax158>(groups, set);
      cases += expect_the_trained_layer<T, ef::BinaryWeights, ef::Absmax<ef::UnsignedRange>>(groups, set);
      cases += expect_the_trained_layer<T, ef::BinaryWeights, ef::Absmax<ef::ShiftedUnsignedRange>>(groups, set);
    }
  }
  EXPECT_GE(cases, 4 * 4 * 80);
}

TYPED_TEST(PackedBitLinearOf, holds_the_codes_in_one_or_two_bits) {
  using T = TypeParam;
  const ef::BitLinear<T> binary({.in_features = 1024, .out_features = 512, .bias = false}, ef::Random(5));
  const ef::BitLinear<T, ef::TernaryWeights> ternary({.in_features = 1024, .out_features = 512, .bias = false},
                                                     ef::Random(5));
  const std::size_t weights = 1024 * 512;
  EXPECT_LE(binary.pack().bytes() * 30, weights * 4);
  EXPECT_LE(ternary.pack().bytes() * 15, weights * 4);
  const ef::Matrix<std::int8_t> codes = ternary.pack().codes();
  const ef::PackedBitLinear<T, ef::TernaryWeights> again(codes, ternary.pack().scale.value, std::nullopt);
  EXPECT_TRUE((again.codes().array() == codes.array()).all());
  EXPECT_EQ(codes.minCoeff(), -1);
  EXPECT_EQ(codes.maxCoeff(), 1);
}

TYPED_TEST(PackedBitLinearOf, saves_and_loads_bit_by_bit) {
  using T = TypeParam;
  using Layer = ef::PackedBitLinear<T, ef::TernaryWeights, ef::RmsNorm<T>, ef::Absmax158>;
  const ef::BitLinear<T, ef::TernaryWeights, ef::RmsNorm<T>, ef::Absmax158> trained(
      {.in_features = 29, .out_features = 37}, ef::Random(9));
  const auto path = std::filesystem::temp_directory_path() / ("packed_bit_linear_" + std::to_string(sizeof(T)));
  ef::save_safetensors(path.string(), trained.pack());
  Layer loaded({.in_features = 29, .out_features = 37}, ef::Random(10));
  const ef::Matrix<T> x = normal<T>(5, 29, 11);
  EXPECT_FALSE(support::bit_equal(loaded(x), trained(x)));
  ef::load_safetensors(path.string(), loaded);
  EXPECT_TRUE(support::bit_equal(loaded(x), trained.pack()(x)));
  Layer other({.in_features = 31, .out_features = 37}, ef::Random(10));
  EXPECT_THROW(ef::load_safetensors(path.string(), other), ef::FileError);
  std::filesystem::remove(path);
}

TYPED_TEST(PackedBitLinearOf, reads_the_packed_codes_of_huggingface) {
  using T = TypeParam;
  {
    const support::Golden golden("bitlinear158_nonorm_bias");
    const ef::Shape shape = golden.shape("w_q");
    const auto bytes = golden.values<std::uint8_t>("packed_hf");
    const ef::Matrix<std::int8_t> codes = ef::unpack_huggingface_ternary(bytes, shape[0], shape[1]);
    // w_scale divides in these files: s_w = 1 / mean |W|.
    const ef::Vector<T> scale = ef::Vector<T>::Constant(1, T(1 / golden.scalar<double>("w_scale")));
    const ef::PackedBitLinear<T, ef::TernaryWeights, ef::NoNorm<T>, ef::Absmax158> layer(codes, scale,
                                                                                         golden.vector<T>("bias"));
    const auto y = golden.values<double>("y");
    double largest = 0;
    for (const double value : y) largest = (std::max)(largest, std::abs(value));
    const ef::Tensor<T, 3> x = golden.tensor<T, 3>("x");
    EXPECT_TRUE(support::within(support::max_error(layer(x), y), 8 * tolerance::epsilon<T> * largest));
  }
}

TYPED_TEST(PackedBitLinearOf, has_the_input_gradient_of_the_trained_layer) {
  using T = TypeParam;
  for (const ef::WeightGroups groups : {ef::WeightGroups{}, {2, 3}}) {
    ef::BitLinear<T> layer({.in_features = 33, .out_features = 26, .groups = groups}, ef::Random(5));
    ef::PackedBitLinear<T> packed = layer.pack();
    const ef::Matrix<T> x = normal<T>(7, 33, 1), dy = normal<T>(7, 26, 2);
    ef::Matrix<T> y(7, 26), dx(7, 33), expected(7, 33);
    ef::Context context;
    typename ef::PackedBitLinear<T>::Cache cache;
    typename ef::BitLinear<T>::Cache trained_cache;
    packed.forward(x, y, context, &cache);
    layer.forward(x, y, context, &trained_cache);
    packed.backward(dy, cache, dx, context);
    layer.backward(dy, trained_cache, expected, context);
    EXPECT_TRUE(support::bit_equal(dx, expected));
    EXPECT_EQ(ef::parameter_count(packed), 0);
  }
}

TYPED_TEST(PackedBitLinearOf, rejects_what_does_not_fit_and_writes_nothing) {
  using T = TypeParam;
  using Layer = ef::PackedBitLinear<T>;
  EXPECT_THROW(Layer({.in_features = 0, .out_features = 3}, ef::Random(1)), ef::OptionError);
  ef::Matrix<std::int8_t> codes = ef::Matrix<std::int8_t>::Ones(3, 4);
  const ef::Vector<T> one = ef::Vector<T>::Ones(1), two = ef::Vector<T>::Ones(2);
  EXPECT_THROW(Layer(codes, two, std::nullopt), ef::ShapeError);
  EXPECT_THROW(Layer(codes, one, two), ef::ShapeError);
  codes(1, 1) = 0;
  EXPECT_THROW(Layer(codes, one, std::nullopt), ef::ValueError);
  codes(1, 1) = -1;
  Layer layer(codes, one, std::nullopt);
  ef::Context context;
  ef::Matrix<T> y = ef::Matrix<T>::Constant(5, 3, T(7)), dx(5, 4);
  EXPECT_THROW(layer.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(5, 3)), y, context), ef::ShapeError);
  EXPECT_THROW(layer.backward(y, {}, dx, context), ef::ShapeError);
  layer.packed.value.resize(3);
  EXPECT_THROW(layer.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(5, 4)), y, context), ef::ShapeError);
  EXPECT_TRUE((y.array() == T(7)).all());
}
