// SPDX-License-Identifier: MIT
#include <eigenformer/kernels/dropout.hpp>

#include <gtest/gtest.h>

#include "reference/dropout.hpp"
#include "support/alignment.hpp"
#include "support/compare.hpp"

namespace ef = eigenformer;
using ef::Index;
using ef::kernels::DropoutRule;
using ef::kernels::DropoutStream;

namespace {

template <class Function>
void for_each_instruction_set(const Function& f) {
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (ef::available(set)) f(set);
  }
}

/// Every length, aligned or not, each draw as the reference makes it; what lies around is left alone.
template <class T>
void expect_reference() {
  int dropped = 0, kept = 0;
  for_each_instruction_set([&](ef::InstructionSet set) {
    for (Index count = 0; count < 41; ++count) {
      for (const Index first : {Index(0), Index(13), Index(4095), (Index(1) << 33) + 7}) {
        const double rate = 0.35;
        const DropoutRule<T> rule(ef::Dropout{rate, 99});
        support::GuardedRows<T> x(1, count, count, first % 5), y(1, count, count, count % 7);
        for (Index i = 0; i < count; ++i) x(0, i) = static_cast<T>(i + 1);
        const DropoutStream stream = DropoutStream::of(99, 2, 3, 5);
        ef::kernels::drop<T>(x.data(), y.data(), count, stream, first, rule, set);
        for (Index i = 0; i < count; ++i) {
          const double factor = reference::dropout_factor(
              rate, reference::dropout_draw(99, 2, 3, 5, static_cast<std::uint64_t>(first + i)));
          ASSERT_EQ(y(0, i), x(0, i) * static_cast<T>(factor)) << ef::name(set) << " " << count << " " << i;
          ++(factor == 0 ? dropped : kept);
        }
        EXPECT_TRUE(y.untouched_outside());
      }
    }
  });
  EXPECT_GT(dropped, 1000);
  EXPECT_GT(kept, dropped);
}

TEST(Drop, equals_the_reference_for_every_length_and_instruction_set) {
  expect_reference<float>();
  expect_reference<double>();
}

}  // namespace
