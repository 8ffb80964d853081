// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/activation.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

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

/// What the kernels give for `count` elements at once, and for each of them alone.
template <class A, class T>
void expect_the_same_alone(ef::InstructionSet set, const std::vector<T>& gate, const std::vector<T>& up) {
  const auto count = static_cast<Index>(gate.size());
  std::vector<T> together(5 * gate.size());
  std::vector<T> alone(5 * gate.size());
  const auto apply = [&](std::vector<T>& to, Index first, Index n) {
    const T* const x = gate.data() + first;
    const T* const u = up.data() + first;
    T* const y = to.data() + first;
    ef::kernels::activate<A>(x, y, n, set);
    ef::kernels::activate_backward<A>(x, u, y + count, n, set);
    ef::kernels::gated<A>(x, u, y + 2 * count, n, set);
    ef::kernels::gated_backward<A>(x, u, u, y + 3 * count, y + 4 * count, n, set);
  };
  apply(together, 0, count);
  for (Index i = 0; i < count; ++i) apply(alone, i, 1);
  ASSERT_TRUE(support::bit_equal(together, alone)) << ef::name(set);
}

/// Arguments of which every fifth is in the tail that becomes denormal, up to `last`, or beyond it.
template <class T>
std::vector<T> with_far_arguments(T first, T last) {
  support::Generator random(7);
  std::vector<T> x = support::normal<T>(997, random, 3);
  for (std::size_t i = 0; i < x.size(); i += 5) {
    x[i] = -(first + (last - first) * static_cast<T>(i) / static_cast<T>(x.size()));
    if (i % 3 == 0) x[i] = -x[i];
  }
  x[11] = std::numeric_limits<T>::infinity();
  x[23] = -std::numeric_limits<T>::infinity();
  x[31] = (std::numeric_limits<T>::max)();
  return x;
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

TEST(ActivationKernels, do_not_let_a_denormal_tail_change_the_lanes_beside_it) {
  support::Generator random(8);
  const auto floats = support::normal<float>(997, random);
  const auto doubles = support::normal<double>(997, random);
  int sets = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    expect_the_same_alone<ef::Sigmoid>(set, with_far_arguments<float>(85, 107), floats);
    expect_the_same_alone<ef::Silu>(set, with_far_arguments<float>(85, 111), floats);
    expect_the_same_alone<ef::Gelu>(set, with_far_arguments<float>(12.5F, 15), floats);
    expect_the_same_alone<ef::GeluTanh>(set, with_far_arguments<float>(9.5F, 11.5F), floats);
    expect_the_same_alone<ef::Sigmoid>(set, with_far_arguments<double>(700, 770), doubles);
    expect_the_same_alone<ef::Silu>(set, with_far_arguments<double>(700, 770), doubles);
    expect_the_same_alone<ef::Gelu>(set, with_far_arguments<double>(37, 40), doubles);
    expect_the_same_alone<ef::GeluTanh>(set, with_far_arguments<double>(20.5, 22.5), doubles);
    ++sets;
  }
  EXPECT_GE(sets, 1);
}
