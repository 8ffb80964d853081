// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/activation.hpp>

#include <gtest/gtest.h>

#include <algorithm>

#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

// The curves themselves are tested in simd/activation_test.cpp; here, that the loops apply them to each element and no
// other.

namespace ef = eigenformer;
using ef::Index;
using support::GuardedBuffer;

namespace {

template <class A>
void expect_elementwise(ef::InstructionSet set, Index count, std::ptrdiff_t offset) {
  support::Generator random(static_cast<std::uint64_t>(count));
  GuardedBuffer<float> gate(count, offset);
  GuardedBuffer<float> up(count, (offset + 1) % 16);
  GuardedBuffer<float> dy(count, (offset + 2) % 16);
  for (GuardedBuffer<float>* buffer : {&gate, &up, &dy}) {
    const auto values = support::normal<float>(count, random, 3);
    std::copy(values.begin(), values.end(), buffer->begin());
  }
  GuardedBuffer<float> y(count, (offset + 3) % 16);
  GuardedBuffer<float> dx(count, (offset + 4) % 16);
  GuardedBuffer<float> product(count, (offset + 5) % 16);
  GuardedBuffer<float> dgate(count, (offset + 6) % 16);
  GuardedBuffer<float> dup(count, (offset + 7) % 16);
  ef::kernels::activate<A>(gate.data(), y.data(), count, set);
  ef::kernels::activate_backward<A>(gate.data(), dy.data(), dx.data(), count, set);
  ef::kernels::gated<A>(gate.data(), up.data(), product.data(), count, set);
  ef::kernels::gated_backward<A>(gate.data(), up.data(), dy.data(), dgate.data(), dup.data(), count, set);
  for (Index i = 0; i < count; ++i) {
    const float one = 1;
    float value = 0;
    float slope = 0;
    ef::kernels::activate<A>(&gate[i], &value, 1, set);
    ef::kernels::activate_backward<A>(&gate[i], &one, &slope, 1, set);
    ASSERT_EQ(y[i], value) << ef::name(set) << " element " << i << " of " << count;
    ASSERT_EQ(dx[i], dy[i] * slope);
    ASSERT_EQ(product[i], value * up[i]);
    ASSERT_NEAR(dgate[i], dy[i] * up[i] * slope, 32 * support::tolerance::epsilon<float> * std::abs(dy[i] * up[i]));
    ASSERT_EQ(dup[i], dy[i] * value);
  }
  for (const GuardedBuffer<float>* buffer : {&y, &dx, &product, &dgate, &dup}) {
    ASSERT_TRUE(buffer->untouched_outside());
  }
}

}  // namespace

TEST(ActivationKernels, treat_each_element_alone_at_any_length_and_alignment) {
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (Index count = 0; count <= 97; ++count) {
      expect_elementwise<ef::Gelu>(set, count, count % support::alignment_offsets);
      expect_elementwise<ef::Silu>(set, count, (3 * count) % support::alignment_offsets);
      ++cases;
    }
  }
  EXPECT_GE(cases, 98);
}
