// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/softmax.hpp>

#include <gtest/gtest.h>

#include <algorithm>

#include "reference/softmax.hpp"
#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using support::GuardedBuffer;

namespace {

template <class T>
void expect_row(ef::InstructionSet set, Index count, double deviation) {
  support::Generator random(static_cast<std::uint64_t>(count));
  const auto x = support::normal<T>(count, random, deviation);
  const auto wide = reference::widened<double>(x.data(), {1, count});
  const auto exact = reference::softmax(wide);
  const auto exact_log = reference::log_softmax(wide);
  GuardedBuffer<T> y(count, count % 16);
  GuardedBuffer<T> log_y(count, (count + 1) % 16);
  ef::kernels::softmax(ef::kernels::SoftmaxRows<T>{x.data(), count, y.data(), count, 1, count}, set);
  ef::kernels::log_softmax(ef::kernels::SoftmaxRows<T>{x.data(), count, log_y.data(), count, 1, count}, set);
  const double largest = *std::max_element(wide.data(), wide.data() + count);
  double sum = 0;
  for (Index i = 0; i < count; ++i) {
    const double distance = largest - wide.data()[i];
    const double relative = tolerance::softmax_relative<T>(distance);
#if defined(__FAST_MATH__)
    const double floor = 2 * static_cast<double>((std::numeric_limits<T>::min)());  // flushed to zero
#else
    const double floor = static_cast<double>(std::numeric_limits<T>::denorm_min());
#endif
    ASSERT_LE(std::abs(static_cast<double>(y[i]) - exact.data()[i]), relative * exact.data()[i] + floor)
        << ef::name(set) << " element " << i << " of " << count;
    ASSERT_LE(std::abs(static_cast<double>(log_y[i]) - exact_log.data()[i]),
              relative * (1 + std::abs(exact_log.data()[i])));
    sum += static_cast<double>(y[i]);
  }
  ASSERT_LE(std::abs(sum - 1), tolerance::softmax_sum<T>) << count;
  ASSERT_TRUE(y.untouched_outside());
  ASSERT_TRUE(log_y.untouched_outside());
}

}  // namespace

TEST(SoftmaxKernel, equals_the_reference_on_every_instruction_set) {
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (const Index count : {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 61, 64, 67, 127, 257, 1009, 8192, 50257}) {
      for (const double deviation : {0.1, 1.0, 10.0, 40.0}) {
        expect_row<float>(set, count, deviation);
        ++cases;
      }
    }
  }
  EXPECT_GE(cases, 72);
}
