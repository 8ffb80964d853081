// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/bit_product.hpp>

#include <support/alignment.hpp>
#include <support/allocation.hpp>
#include <support/compare.hpp>
#include <support/inputs.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
using ef::Index;
using ef::InstructionSet;
using kernels::Binary;
using kernels::Ternary;

namespace {

/// Which codes and weights: random, or those at the ends of their ranges.
enum class Fill { random, largest, smallest, alternating, opposed };
constexpr Fill fills[] = {Fill::random, Fill::largest, Fill::smallest, Fill::alternating, Fill::opposed};

/// Codes, weights, and the sums of their products in 64 bits: [rows, outputs] after each of the inputs.
template <class Weights>
class Numbers {
 public:
  Numbers(Index rows, Index outputs, Index inputs, Fill fill, std::uint64_t seed = 1)
      : rows_(rows), outputs_(outputs), inputs_(inputs) {
    support::Generator random(seed);
    for (Index i = 0; i < rows * inputs; ++i) codes.push_back(code(i, fill, random));
    for (Index i = 0; i < outputs * inputs; ++i) weights.push_back(weight(i, fill, random));
  }

  /// The sum of the first `inputs`.
  std::int64_t sum(Index row, Index output, Index inputs) const {
    std::int64_t total = 0;
    for (Index k = 0; k < inputs; ++k) total += std::int64_t(codes[at(row, k)]) * weights[at(output, k)];
    return total;
  }

  std::vector<std::uint8_t> pack(Index outputs, Index inputs) const {
    std::vector<std::uint8_t> packed(static_cast<std::size_t>(kernels::bit_matrix_size<Weights>(outputs, inputs)));
    kernels::pack_bits<Weights>(weights.data(), inputs_, outputs, inputs, packed);
    return packed;
  }

  std::vector<std::int8_t> codes, weights;

 private:
  std::size_t at(Index row, Index k) const { return static_cast<std::size_t>(row * inputs_ + k); }
  static std::int8_t code(Index i, Fill fill, support::Generator& random) {
    switch (fill) {
      case Fill::largest: return 127;
      case Fill::smallest: return -128;
      case Fill::alternating: return i % 2 == 0 ? 127 : -128;
      case Fill::opposed: return -127;
      default: return static_cast<std::int8_t>(random.integer(256) - 128);
    }
  }
  static std::int8_t weight(Index i, Fill fill, support::Generator& random) {
    switch (fill) {
      case Fill::largest:
      case Fill::smallest: return 1;
      case Fill::alternating: return i % 2 == 0 ? 1 : -1;
      case Fill::opposed: return -1;
      default:
        return static_cast<std::int8_t>(Weights::planes == 1 ? 2 * random.integer(2) - 1 : random.integer(3) - 1);
    }
  }

  Index rows_, outputs_, inputs_;
};

class BitProduct : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
  ef::Context context(int threads = 1) const {
    return ef::Context({.threads = threads, .instruction_set = GetParam()});
  }
};

/// Multiplies the first rows, outputs and inputs of `numbers`, whose rows of codes are `stride` apart; returns how many sums
/// are not those of expected(row, output). Nothing beside the sums may be written.
template <class Weights, class Expected>
Index wrong_sums(const Numbers<Weights>& numbers, Index stride, Index rows, Index outputs, Index inputs,
                 ef::Context& context, const Expected& expected) {
  const std::vector<std::uint8_t> packed = numbers.pack(outputs, inputs);
  support::GuardedRows<std::int32_t> sums(rows, outputs, outputs + 3, inputs % support::alignment_offsets);
  const kernels::BitProduct<Weights> product = {
      .weights = {packed.data(), outputs, inputs}, .codes = numbers.codes.data(), .rows = rows, .stride = stride};
  kernels::bit_product(product, kernels::BitSums<float>{sums.data(), sums.row_stride()}, context);
  EXPECT_TRUE(sums.untouched_outside());
  Index wrong = 0;
  for (Index m = 0; m < rows; ++m) {
    for (Index n = 0; n < outputs; ++n) wrong += sums(m, n) != expected(m, n);
  }
  return wrong;
}
template <class Weights>
Index wrong_sums(Index rows, Index outputs, Index inputs, Fill fill, ef::Context& context) {
  const Numbers<Weights> numbers(rows, outputs, inputs, fill);
  return wrong_sums(numbers, inputs, rows, outputs, inputs, context,
                    [&](Index m, Index n) { return numbers.sum(m, n, inputs); });
}

/// Every number of outputs and of inputs up to 130, with rows that go through all of 1 .. 130.
template <class Weights>
int sweep_shapes(ef::Context& context) {
  constexpr Index most = 130;
  const Numbers<Weights> numbers(most, most, most, Fill::random);
  std::vector<std::int64_t> sums(most * most);  // of the inputs so far
  int cases = 0;
  Index wrong = 0;
  for (Index inputs = 1; inputs <= most; ++inputs) {
    for (Index m = 0; m < most; ++m) {
      for (Index n = 0; n < most; ++n) {
        sums[static_cast<std::size_t>(m * most + n)] +=
            std::int64_t(numbers.codes[static_cast<std::size_t>(m * most + inputs - 1)]) *
            numbers.weights[static_cast<std::size_t>(n * most + inputs - 1)];
      }
    }
    for (Index outputs = 1; outputs <= most; ++outputs) {
      const Index rows = 1 + (7 * inputs + 37 * outputs) % (outputs % 16 == 0 ? most : 11);
      wrong += wrong_sums(numbers, most, rows, outputs, inputs, context,
                          [&](Index m, Index n) { return sums[static_cast<std::size_t>(m * most + n)]; });
      ++cases;
    }
  }
  EXPECT_EQ(wrong, 0);
  return cases;
}

/// Every depth up to 257, so that each remainder of a byte, a register and a stretch occurs, at both ends of the ranges.
template <class Weights>
int sweep_depths(ef::Context& context) {
  constexpr Index rows[] = {1, 3, 5, 2};
  constexpr Index outputs[] = {67, 131, 17, 1};
  int cases = 0;
  for (Index inputs = 1; inputs <= 257; ++inputs) {
    for (const Fill fill : fills) {
      const int i = cases++ % 4;
      EXPECT_EQ(wrong_sums<Weights>(rows[i], outputs[i], inputs, fill, context), 0) << inputs << " " << int(fill);
    }
  }
  return cases;
}

/// The same numbers scaled by the kernel and in double.
template <class T, class Weights>
void expect_scaled(Index rows, Index outputs, Index inputs, ef::Context& context) {
  const Numbers<Weights> numbers(rows, outputs, inputs, Fill::random, 5);
  const std::vector<std::uint8_t> packed = numbers.pack(outputs, inputs);
  support::Generator random(6);
  constexpr Index group = 19;
  const std::vector<T> activation_scale = support::normal<T>(2 * rows, random);
  const std::vector<T> weight_scale = support::normal<T>((outputs + group - 1) / group, random);
  const std::vector<T> bias = support::normal<T>(outputs, random);
  const std::vector<T> before = support::normal<T>(rows * outputs, random);
  const kernels::BitProduct<Weights> product = {{packed.data(), outputs, inputs}, numbers.codes.data(), rows, inputs};
  for (const bool with_bias : {false, true}) {
    for (const auto destination : {kernels::Destination::overwrite, kernels::Destination::accumulate}) {
      const bool adds = destination == kernels::Destination::accumulate;
      support::GuardedRows<T> y(rows, outputs, outputs + 5, outputs % support::alignment_offsets);
      std::vector<double> expected;
      for (Index m = 0; m < rows; ++m) {
        for (Index n = 0; n < outputs; ++n) {
          const auto at = static_cast<std::size_t>(m * outputs + n);
          if (adds) y(m, n) = before[at];
          const double scale = static_cast<double>(activation_scale[static_cast<std::size_t>(2 * m)]) *
                               static_cast<double>(weight_scale[static_cast<std::size_t>(n / group)]);
          double number = static_cast<double>(numbers.sum(m, n, inputs)) * scale;
          if (with_bias) number += static_cast<double>(bias[static_cast<std::size_t>(n)]);
          if (adds) number += static_cast<double>(before[at]);
          expected.push_back(number);
        }
      }
      kernels::bit_product(product,
                           kernels::ScaledSums<T>{.y = y.data(),
                                                  .stride = y.row_stride(),
                                                  .activation_scale = activation_scale.data(),
                                                  .weight_scale = weight_scale.data(),
                                                  .bias = with_bias ? bias.data() : nullptr,
                                                  .activation_stride = 2,
                                                  .outputs_per_scale = group,
                                                  .destination = destination},
                           context);
      EXPECT_TRUE(y.untouched_outside());
      std::vector<T> actual;
      for (Index m = 0; m < rows; ++m) {
        for (Index n = 0; n < outputs; ++n) actual.push_back(y(m, n));
      }
      // The same operations in double, and one rounding to T.
      EXPECT_TRUE(within(support::ulp_error(actual, expected), 0.5));
    }
  }
}

template <class Weights>
std::vector<std::int32_t> sums_of(const kernels::BitProduct<Weights>& product, ef::Context& context) {
  std::vector<std::int32_t> sums(static_cast<std::size_t>(product.rows * product.weights.out_features));
  kernels::bit_product(product, kernels::BitSums<float>{sums.data(), product.weights.out_features}, context);
  return sums;
}

}  // namespace

TEST_P(BitProduct, equals_64_bit_sums_for_every_shape) {
  ef::Context context = this->context();
  EXPECT_EQ(sweep_shapes<Binary>(context), 130 * 130);
  EXPECT_EQ(sweep_shapes<Ternary>(context), 130 * 130);
}

TEST_P(BitProduct, is_exact_at_the_ends_of_all_ranges_for_every_depth) {
  ef::Context context = this->context();
  EXPECT_EQ(sweep_depths<Binary>(context), 257 * 5);
  EXPECT_EQ(sweep_depths<Ternary>(context), 257 * 5);
}

TEST_P(BitProduct, is_exact_for_long_sums) {
  ef::Context context = this->context();
  for (const Fill fill : fills) {
    EXPECT_EQ(wrong_sums<Binary>(2, 3, 100'003, fill, context), 0) << int(fill);
    EXPECT_EQ(wrong_sums<Ternary>(2, 3, 100'003, fill, context), 0) << int(fill);
  }
}

TEST_P(BitProduct, is_exact_for_many_rows_and_outputs) {
  ef::Context context = this->context();
  EXPECT_EQ(wrong_sums<Binary>(71, 397, 311, Fill::random, context), 0);
  EXPECT_EQ(wrong_sums<Ternary>(71, 397, 311, Fill::random, context), 0);
}

TEST_P(BitProduct, scales_sums_in_double) {
  ef::Context context = this->context();
  for (const Index outputs : {1, 5, 19, 61, 131}) {
    expect_scaled<float, Binary>(3, outputs, 37, context);
    expect_scaled<float, Ternary>(7, outputs, 37, context);
    expect_scaled<double, Ternary>(2, outputs, 37, context);
  }
}

TEST_P(BitProduct, gives_the_bias_for_scale_zero_and_no_number_for_a_scale_that_is_none) {
  ef::Context context = this->context();
  const Numbers<Ternary> numbers(3, 29, 41, Fill::random);
  const std::vector<std::uint8_t> packed = numbers.pack(29, 41);
  const std::vector<float> scales = {0, std::numeric_limits<float>::quiet_NaN(), 1};
  const std::vector<float> bias(29, 2.5F);
  const float weight_scale = 1;
  std::vector<float> y(3 * 29);
  kernels::bit_product(kernels::BitProduct<Ternary>{{packed.data(), 29, 41}, numbers.codes.data(), 3, 41},
                       kernels::ScaledSums<float>{.y = y.data(),
                                                  .stride = 29,
                                                  .activation_scale = scales.data(),
                                                  .weight_scale = &weight_scale,
                                                  .bias = bias.data()},
                       context);
  for (Index n = 0; n < 29; ++n) {
    EXPECT_EQ(y[static_cast<std::size_t>(n)], 2.5F);
    EXPECT_TRUE(support::is_nan(static_cast<double>(y[static_cast<std::size_t>(29 + n)])));
    EXPECT_EQ(y[static_cast<std::size_t>(58 + n)], static_cast<float>(numbers.sum(2, n, 41)) + 2.5F);
  }
}

TEST_P(BitProduct, has_the_same_bits_for_every_number_of_threads) {
  constexpr Index outputs = 5003, inputs = 257;  // enough tasks for all threads to take part
  const Numbers<Binary> numbers(37, outputs, inputs, Fill::random);
  const std::vector<std::uint8_t> packed = numbers.pack(outputs, inputs);
  for (const Index rows : {1, 37}) {
    const kernels::BitProduct<Binary> product = {{packed.data(), outputs, inputs}, numbers.codes.data(), rows, inputs};
    ef::Context one = context();
    const std::vector<std::int32_t> expected = sums_of(product, one);
    for (const int threads : {2, 3}) {
      ef::Context more = context(threads);
      for (int i = 0; i < 5; ++i)
        EXPECT_EQ(sums_of(product, more), expected) << rows << " rows, " << threads << " threads";
    }
  }
}

TEST_P(BitProduct, allocates_nothing_the_second_time) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  const Numbers<Ternary> numbers(5, 83, 97, Fill::random);
  const std::vector<std::uint8_t> packed = numbers.pack(83, 97);
  std::vector<std::int32_t> sums(5 * 83);
  ef::Context context = this->context();
  const auto multiply = [&] {
    kernels::bit_product(kernels::BitProduct<Ternary>{{packed.data(), 83, 97}, numbers.codes.data(), 5, 97},
                         kernels::BitSums<float>{sums.data(), 83}, context);
  };
  multiply();
  EXPECT_EQ(support::allocations_during(multiply), 0U);
}

TEST_P(BitProduct, of_no_rows_writes_nothing) {
  const Numbers<Binary> numbers(1, 3, 5, Fill::random);
  const std::vector<std::uint8_t> packed = numbers.pack(3, 5);
  ef::Context context = this->context();
  kernels::bit_product(kernels::BitProduct<Binary>{{packed.data(), 3, 5}, nullptr, 0, 5},
                       kernels::BitSums<float>{nullptr, 3}, context);
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, BitProduct, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
