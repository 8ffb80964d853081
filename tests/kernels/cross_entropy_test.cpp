// SPDX-License-Identifier: MIT

#include "reference/softmax.hpp"
#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/kernels/cross_entropy.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;

template <class T>
class CrossEntropyKernel : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(CrossEntropyKernel, Scalars);

template <class T>
struct Expected {
  double maximum = 0;
  double sum = 0;
  double spread = 0;
};

template <class T>
Expected<T> expected_row(const std::vector<T>& x, const std::vector<T>& weights) {
  Expected<T> row;
  row.maximum = static_cast<double>(*std::max_element(x.begin(), x.end()));
  for (std::size_t c = 0; c < x.size(); ++c) {
    const double below = row.maximum - static_cast<double>(x[c]);
    row.sum += std::exp(-below);
    row.spread += (weights.empty() ? 1.0 : static_cast<double>(weights[c])) * below;
  }
  return row;
}

TYPED_TEST(CrossEntropyKernel, every_instruction_set_reads_rows_of_every_length) {
  using T = TypeParam;
  support::Generator random(11);
  int compared = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (std::ptrdiff_t length = 1; length <= 67; ++length) {
      const std::vector<T> x = support::normal<T>(length, random, 3);
      std::vector<T> weights = length % 2 == 0 ? std::vector<T>() : support::normal<T>(length, random);
      for (T& w : weights) w = std::abs(w);
      support::GuardedBuffer<T> exponentials(length, length % 16);
      const auto row = kernels::read_logits<T>(x.data(), length, weights.empty() ? nullptr : weights.data(),
                                               exponentials.data(), set);
      const Expected<T> expected = expected_row(x, weights);
      const double eps = support::tolerance::epsilon<T>;
      EXPECT_EQ(static_cast<double>(row.maximum), expected.maximum);
      EXPECT_NEAR(static_cast<double>(row.sum), expected.sum, (8 + 20) * eps * expected.sum) << name(set);
      EXPECT_NEAR(static_cast<double>(row.spread), expected.spread,
                  support::tolerance::gemm_c_adversarial(static_cast<double>(length)) * eps * expected.spread);
      for (std::ptrdiff_t c = 0; c < length; ++c) {
        const double e = std::exp(static_cast<double>(x[static_cast<std::size_t>(c)]) - expected.maximum);
        ASSERT_NEAR(static_cast<double>(exponentials.data()[c]), e, support::tolerance::softmax_relative<T>(20) * e);
      }
      EXPECT_TRUE(exponentials.untouched_outside());
      ++compared;
    }
  }
  EXPECT_GE(compared, 67);
}

TYPED_TEST(CrossEntropyKernel, storing_the_exponentials_changes_nothing_and_may_be_in_place) {
  using T = TypeParam;
  support::Generator random(12);
  std::vector<T> x = support::normal<T>(37, random, 3);
  std::vector<T> apart(x.size());
  const ef::InstructionSet set = ef::best_instruction_set();
  const auto read = kernels::read_logits<T>(x.data(), 37, nullptr, nullptr, set);
  const auto stored = kernels::read_logits<T>(x.data(), 37, nullptr, apart.data(), set);
  const auto in_place = kernels::read_logits<T>(x.data(), 37, nullptr, x.data(), set);
  EXPECT_EQ(read.sum, stored.sum);
  EXPECT_EQ(read.sum, in_place.sum);
  EXPECT_EQ(read.spread, in_place.spread);
  EXPECT_TRUE(support::bit_equal(x, apart));
}

TYPED_TEST(CrossEntropyKernel, gradient_is_scaled_and_lowered_by_the_weights) {
  using T = TypeParam;
  support::Generator random(13);
  int compared = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (std::ptrdiff_t length = 1; length <= 35; ++length) {
      const std::vector<T> e = support::normal<T>(length, random);
      const std::vector<T> weights = support::normal<T>(length, random);
      support::GuardedBuffer<T> result(length, length % 16);
      std::copy(e.begin(), e.end(), result.begin());
      kernels::finish_gradient<T>(result.data(), length, length % 3 == 0 ? nullptr : weights.data(), T(0.25), T(0.5),
                                  set);
      for (std::ptrdiff_t c = 0; c < length; ++c) {
        const auto at = static_cast<std::size_t>(c);
        const double first = 0.25 * static_cast<double>(e[at]);
        const double second = 0.5 * (length % 3 == 0 ? 1.0 : static_cast<double>(weights[at]));
        EXPECT_NEAR(static_cast<double>(result.data()[c]), first - second,
                    2 * support::tolerance::epsilon<T> * (std::abs(first) + std::abs(second)));
        ++compared;
      }
      EXPECT_TRUE(result.untouched_outside());
    }
  }
  EXPECT_GE(compared, 35 * 36 / 2);
}

}  // namespace
