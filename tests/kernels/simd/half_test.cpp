// SPDX-License-Identifier: MIT
// Loads that widen: the same numbers on every instruction set as core/half.hpp gives, which has tests of its own, and
// the codes of core/int8.hpp.

#include <eigenformer/core/half.hpp>
#include <eigenformer/core/int8.hpp>
#include <eigenformer/kernels/simd/target.hpp>

#include <support/alignment.hpp>
#include <support/compare.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#define EIGENFORMER_KERNEL <kernels/simd/half_probe.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

template <class T>
int probe_half_lanes(InstructionSet set) {
  EIGENFORMER_DISPATCH(set, probe_half_lanes<T>());
}
template <class T, class S>
void probe_widening(InstructionSet set, const S* from, T* to) {
  EIGENFORMER_DISPATCH(set, probe_widening<T>(from, to));
}
template <class T, class S>
void probe_partial_widening(InstructionSet set, const S* from, T* to, std::ptrdiff_t n) {
  EIGENFORMER_DISPATCH(set, probe_partial_widening<T>(from, to, n));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
using ef::InstructionSet;

namespace {

class HalfLoads : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
};

template <class S>
S from_bits(int bits) {
  return std::bit_cast<S>(static_cast<std::uint16_t>(bits));
}

/// The same bits, or both NaN: what a NaN carries may differ.
template <class T>
bool same(T a, T b) {
  if (support::is_nan(static_cast<double>(a))) return support::is_nan(static_cast<double>(b));
  return support::bit_equal(std::vector<T>{a}, std::vector<T>{b});
}

/// All patterns, each in every lane, at addresses that are multiples of two alone.
template <class T, class S>
void expect_all_patterns(InstructionSet set) {
  const int lanes = kernels::probe_half_lanes<T>(set);
  support::GuardedBuffer<S> from(0x10000 + lanes, 1);
  for (int i = 0; i < 0x10000 + lanes; ++i) from[i] = from_bits<S>(i & 0xffff);
  std::vector<T> to(static_cast<std::size_t>(lanes));
  int wrong = 0;
  for (int first = 0; first < 0x10000; ++first) {
    kernels::probe_widening<T>(set, from.data() + first, to.data());
    for (int i = 0; i < lanes; ++i) {
      wrong += same(to[static_cast<std::size_t>(i)], ef::widened<T>(from[first + i])) ? 0 : 1;
    }
  }
  EXPECT_EQ(wrong, 0) << "of " << lanes * 0x10000;
}

/// A part of the lanes is read, nothing beyond, and the rest is zero; also of patterns that are large in every bit.
template <class T, class S>
void expect_partial_loads(InstructionSet set) {
  const int lanes = kernels::probe_half_lanes<T>(set);
  int cases = 0;
  for (int n = 0; n <= lanes; ++n) {
    for (int offset = 0; offset < 5; ++offset) {
      const auto count = static_cast<std::size_t>(n);
      // Memory of its own, so that the address sanitizer sees a read beyond its end.
      std::vector<S> from(count);
      for (std::size_t i = 0; i < count; ++i) from[i] = from_bits<S>(0x3c01 + 0x111 * static_cast<int>(i) + offset);
      std::vector<T> to(static_cast<std::size_t>(lanes), T(-1));
      kernels::probe_partial_widening<T>(set, from.data(), to.data(), n);
      for (std::size_t i = 0; i < to.size(); ++i) {
        EXPECT_TRUE(same(to[i], i < count ? ef::widened<T>(from[i]) : T(0))) << "n " << n << " lane " << i;
      }
      ++cases;
    }
  }
  EXPECT_EQ(cases, 5 * (lanes + 1));
}

/// All codes, each in every lane, at addresses of any kind; and some lanes alone.
template <class T>
void expect_codes(InstructionSet set) {
  const int lanes = kernels::probe_half_lanes<T>(set);
  std::vector<ef::Int8> from(static_cast<std::size_t>(256 + lanes));
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<ef::Int8>(static_cast<std::int8_t>(i % 256));
  std::vector<T> to(static_cast<std::size_t>(lanes));
  const auto number = [&](std::size_t i) { return static_cast<T>(static_cast<std::int8_t>(from[i])); };
  for (std::size_t first = 0; first < 256; ++first) {
    kernels::probe_widening<T>(set, from.data() + first, to.data());
    for (std::size_t i = 0; i < to.size(); ++i) EXPECT_EQ(to[i], number(first + i));
    const std::size_t n = first % (to.size() + 1);
    const std::vector<ef::Int8> part(from.begin() + static_cast<std::ptrdiff_t>(first),
                                     from.begin() + static_cast<std::ptrdiff_t>(first + n));
    kernels::probe_partial_widening<T>(set, part.data(), to.data(), static_cast<std::ptrdiff_t>(n));
    for (std::size_t i = 0; i < to.size(); ++i) EXPECT_EQ(to[i], i < n ? number(first + i) : T(0)) << n;
  }
}

}  // namespace

TEST_P(HalfLoads, of_codes_are_exact_and_of_some_lanes_read_no_others) {
  expect_codes<float>(GetParam());
  expect_codes<double>(GetParam());
}

TEST_P(HalfLoads, are_exact_for_all_patterns_in_every_lane) {
  expect_all_patterns<float, ef::Bfloat16>(GetParam());
  expect_all_patterns<float, ef::Float16>(GetParam());
  expect_all_patterns<double, ef::Bfloat16>(GetParam());
  expect_all_patterns<double, ef::Float16>(GetParam());
}

TEST_P(HalfLoads, of_some_lanes_read_no_others) {
  expect_partial_loads<float, ef::Bfloat16>(GetParam());
  expect_partial_loads<float, ef::Float16>(GetParam());
  expect_partial_loads<double, ef::Bfloat16>(GetParam());
  expect_partial_loads<double, ef::Float16>(GetParam());
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, HalfLoads, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
