// SPDX-License-Identifier: MIT

#include <kernels/simd/vec_probe.hpp>

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace ef = eigenformer;
using ef::InstructionSet;
using ef::kernels::Operation;

namespace {

/// One instruction set; the test is skipped where the machine does not have it.
class Vec : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }

  /// What the operation gives for one value in every lane; all lanes must agree.
  template <class T>
  T apply(Operation operation, T x, T y = 0, T z = 0) {
    const auto lanes = static_cast<std::size_t>(ef::kernels::probe_lanes<T>(GetParam()));
    const std::vector<T> a(lanes, x), b(lanes, y), c(lanes, z);
    std::vector<T> out(lanes, T(-77));
    ef::kernels::probe<T>(GetParam(), operation, a.data(), b.data(), c.data(), out.data());
    for (const T value : out) EXPECT_EQ(std::signbit(value), std::signbit(out[0]));
    for (const T value : out) EXPECT_TRUE(value == out[0] || (value != value && out[0] != out[0]));
    return out[0];
  }
};

// -ffast-math divides and takes roots by an approximate reciprocal with one Newton step.
#if defined(__FAST_MATH__)
constexpr double float_quotient_error = 4.8e-7;
#else
constexpr double float_quotient_error = 6e-8;
#endif

template <class T>
std::vector<T> ramp(std::size_t count) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = T(1) + T(i) * T(0.37);
  return values;
}

/// Memory whose end is the end of what may be touched: the page behind it is closed.
template <class T>
class BeforeClosedPage {
 public:
  BeforeClosedPage() : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    void* const memory = mmap(nullptr, 3 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<char*>(memory);
    mprotect(memory_, page_, PROT_NONE);
    mprotect(memory_ + 2 * page_, page_, PROT_NONE);
  }
  BeforeClosedPage(const BeforeClosedPage&) = delete;
  BeforeClosedPage& operator=(const BeforeClosedPage&) = delete;
  ~BeforeClosedPage() { munmap(memory_, 3 * page_); }
  T* begin() const { return reinterpret_cast<T*>(memory_ + page_); }
  T* end() const { return reinterpret_cast<T*>(memory_ + 2 * page_); }

 private:
  std::size_t page_;
  char* memory_ = nullptr;
};

template <class T>
void expect_partial_access_stays_inside(InstructionSet set) {
  const std::ptrdiff_t lanes = ef::kernels::probe_lanes<T>(set);
  const BeforeClosedPage<T> guarded;
  const std::vector<T> values = ramp<T>(static_cast<std::size_t>(lanes));
  int cases = 0;
  for (std::ptrdiff_t n = 0; n <= lanes; ++n, ++cases) {
    T* const last = guarded.end() - n;
    ef::kernels::probe_partial_store<T>(set, values.data(), last, n);
    std::vector<T> loaded(static_cast<std::size_t>(lanes), T(-1));
    ef::kernels::probe_partial<T>(set, last, loaded.data(), n);
    std::vector<T> stored(static_cast<std::size_t>(lanes), T(-1));
    ef::kernels::probe_partial_store<T>(set, values.data(), stored.data(), n);
    for (std::ptrdiff_t i = 0; i < lanes; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_EQ(loaded[at], i < n ? values[at] : T(0)) << "n " << n << " lane " << i;
      EXPECT_EQ(stored[at], i < n ? values[at] : T(-1)) << "n " << n << " lane " << i;
    }
  }
  EXPECT_EQ(cases, lanes + 1);
}

template <class T>
void expect_fixed_order_of_sums(InstructionSet set) {
  const auto lanes = static_cast<std::size_t>(ef::kernels::probe_lanes<T>(set));
  std::vector<T> values(lanes), out(lanes);
  std::mt19937 generator(5);
  for (int round = 0; round < 200; ++round) {
    for (T& value : values) value = std::ldexp(T(generator()) - T(2e9), static_cast<int>(generator() % 40));
    std::vector<T> folded = values;
    T largest = values[0];
    for (const T value : values) largest = value > largest ? value : largest;
    for (std::size_t width = lanes / 2; width > 0; width /= 2) {
      for (std::size_t i = 0; i < width; ++i) {
        volatile T sum = folded[i] + folded[i + width];  // volatile: -ffast-math shall not reorder the expectation
        folded[i] = sum;
      }
    }
    ef::kernels::probe<T>(set, Operation::reduce_add, values.data(), values.data(), values.data(), out.data());
    EXPECT_EQ(out[0], folded[0]);
    ef::kernels::probe<T>(set, Operation::reduce_max, values.data(), values.data(), values.data(), out.data());
    EXPECT_EQ(out[0], largest);
  }
}

template <class T>
void expect_transpose(InstructionSet set) {
  const auto lanes = static_cast<std::size_t>(ef::kernels::probe_lanes<T>(set));
  const std::vector<T> from = ramp<T>(lanes * lanes);
  std::vector<T> to(lanes * lanes);
  ef::kernels::probe_transpose<T>(set, from.data(), to.data());
  for (std::size_t i = 0; i < lanes; ++i) {
    for (std::size_t j = 0; j < lanes; ++j) EXPECT_EQ(to[i * lanes + j], from[j * lanes + i]) << i << ", " << j;
  }
  ef::kernels::probe<T>(set, Operation::swap_pairs, from.data(), from.data(), from.data(), to.data());
  for (std::size_t i = 0; i < lanes; ++i) EXPECT_EQ(to[i], from[i ^ 1U]);
}

/// Integers whose sums are exact and differ from row to row.
template <class T>
void expect_sums_of_rows(InstructionSet set) {
  const auto lanes = static_cast<std::size_t>(ef::kernels::probe_lanes<T>(set));
  std::vector<T> from(lanes * lanes);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<T>(i * i);
  std::vector<T> to(lanes);
  ef::kernels::probe_reduce_rows<T>(set, from.data(), to.data());
  for (std::size_t i = 0; i < lanes; ++i) {
    T sum = 0;
    for (std::size_t j = 0; j < lanes; ++j) sum += from[i * lanes + j];
    EXPECT_EQ(to[i], sum) << i;
  }
}

}  // namespace

TEST_P(Vec, computes_what_scalars_do) {
  std::mt19937 generator(11);
  std::normal_distribution<double> normal(0, 3);
  for (int i = 0; i < 2000; ++i) {
    const float x = static_cast<float>(normal(generator)), y = static_cast<float>(normal(generator)), z = x - y;
    EXPECT_EQ(apply<float>(Operation::add, x, y), x + y);
    EXPECT_EQ(apply<float>(Operation::subtract, x, y), x - y);
    EXPECT_EQ(apply<float>(Operation::multiply, x, y), x * y);
    EXPECT_NEAR(apply<float>(Operation::divide, x, y), double(x) / double(y),
                float_quotient_error * std::abs(double(x) / double(y)));
    EXPECT_EQ(apply<float>(Operation::negate, x), -x);
    EXPECT_EQ(apply<float>(Operation::abs, x), std::abs(x));
    EXPECT_EQ(apply<float>(Operation::copysign, x, y), std::copysign(x, y));
    EXPECT_EQ(apply<float>(Operation::minimum, x, y), x < y ? x : y);
    EXPECT_EQ(apply<float>(Operation::maximum, x, y), x > y ? x : y);
    EXPECT_NEAR(apply<float>(Operation::sqrt, x), std::sqrt(std::abs(double(x))),
                float_quotient_error * std::sqrt(std::abs(x)));
    const double product = double(x) * double(y);
    const double size = std::abs(product) + std::abs(double(z));
    EXPECT_NEAR(apply<float>(Operation::fma, x, y, z), product + double(z), 1.2e-7 * size);
    EXPECT_NEAR(apply<float>(Operation::fnma, x, y, z), double(z) - product, 1.2e-7 * size);
    const double a = normal(generator), b = normal(generator);
    EXPECT_EQ(apply<double>(Operation::add, a, b), a + b);
    EXPECT_EQ(apply<double>(Operation::subtract, a, b), a - b);
    EXPECT_EQ(apply<double>(Operation::multiply, a, b), a * b);
    EXPECT_NEAR(apply<double>(Operation::divide, a, b), a / b, 2.3e-16 * std::abs(a / b));
    EXPECT_EQ(apply<double>(Operation::negate, a), -a);
    EXPECT_EQ(apply<double>(Operation::abs, a), std::abs(a));
    EXPECT_EQ(apply<double>(Operation::copysign, a, b), std::copysign(a, b));
    EXPECT_EQ(apply<double>(Operation::minimum, a, b), a < b ? a : b);
    EXPECT_EQ(apply<double>(Operation::maximum, a, b), a > b ? a : b);
    EXPECT_NEAR(apply<double>(Operation::fma, a, b, 1.0), a * b + 1, 2.3e-16 * (std::abs(a * b) + 1));
    EXPECT_NEAR(apply<double>(Operation::fnma, a, b, 1.0), 1 - a * b, 2.3e-16 * (std::abs(a * b) + 1));
    EXPECT_NEAR(apply<double>(Operation::sqrt, a), std::sqrt(std::abs(a)), 2.3e-16 * std::sqrt(std::abs(a)));
  }
}

TEST_P(Vec, compares_and_selects) {
  int cases = 0;
  for (const double x : {-1.5, 0.0, 2.0}) {
    for (const double y : {-1.5, 0.0, 2.0}) {
      for (const double z : {-1.5, 0.0, 2.0}) {
        const auto check = [&](Operation operation, bool expected) {
          EXPECT_EQ(apply<double>(operation, x, y, z), expected ? 1.0 : 0.0) << static_cast<int>(operation);
          EXPECT_EQ(apply<float>(operation, float(x), float(y), float(z)), expected ? 1.0F : 0.0F);
          ++cases;
        };
        check(Operation::less, x < y);
        check(Operation::less_equal, x <= y);
        check(Operation::greater, x > y);
        check(Operation::greater_equal, x >= y);
        check(Operation::equal, x == y);
        check(Operation::both, x < y && y < z);
        check(Operation::either, x < y || y < z);
        check(Operation::neither, !(x < y || y < z));
      }
    }
  }
  EXPECT_EQ(cases, 27 * 8);
}

TEST_P(Vec, sees_a_single_lane_in_any_and_all) {
  const auto lanes = static_cast<std::size_t>(ef::kernels::probe_lanes<float>(GetParam()));
  const auto truth = [&](Operation operation, const std::vector<float>& x) {
    const std::vector<float> zero(lanes, 0.0F);
    std::vector<float> out(lanes);
    ef::kernels::probe<float>(GetParam(), operation, x.data(), zero.data(), zero.data(), out.data());
    return out[0] != 0;
  };
  for (std::size_t i = 0; i < lanes; ++i) {
    std::vector<float> one_true(lanes, 1.0F), one_false(lanes, -1.0F);
    one_true[i] = -1.0F;
    one_false[i] = 1.0F;
    EXPECT_TRUE(truth(Operation::any_less, one_true)) << i;
    EXPECT_FALSE(truth(Operation::all_less, one_false)) << i;
  }
  EXPECT_FALSE(truth(Operation::any_less, std::vector<float>(lanes, 1.0F)));
  EXPECT_TRUE(truth(Operation::all_less, std::vector<float>(lanes, -1.0F)));
}

TEST_P(Vec, rounds_ties_to_even_and_leaves_large_numbers) {
  for (const double x :
       {0.0, 0.25, 0.5, 0.49999997, 1.5, 2.5, 3.7, 1e6 + 0.5, 4194303.5, 8388607.0, 8388609.0, 1e9, 1e30}) {
    for (const double sign : {1.0, -1.0}) {
      const float f = static_cast<float>(x * sign);
      EXPECT_EQ(apply<float>(Operation::round, f), std::nearbyint(f)) << f;
      EXPECT_EQ(apply<float>(Operation::floor, f), std::floor(f)) << f;
      EXPECT_EQ(apply<double>(Operation::round, x * sign), std::nearbyint(x * sign)) << x;
      EXPECT_EQ(apply<double>(Operation::floor, x * sign), std::floor(x * sign)) << x;
    }
  }
}

TEST_P(Vec, scales_by_powers_of_two_across_the_whole_range) {
  int cases = 0;
  for (const double x : {1.0, 0.75, -1.3, 1.4}) {
#if defined(__FAST_MATH__)  // its start-up code lets denormals be flushed
    constexpr int lowest_float = -125, lowest_double = -1021;
#else
    constexpr int lowest_float = -152, lowest_double = -1080;
#endif
    for (int n = lowest_float; n <= 127; ++n, ++cases) {
      const float f = static_cast<float>(x);
      EXPECT_EQ(apply<float>(Operation::ldexp, f, static_cast<float>(n)), std::ldexp(f, n)) << x << " 2^" << n;
    }
    for (int n = lowest_double; n <= 1023; n += 3, ++cases) {
      EXPECT_EQ(apply<double>(Operation::ldexp, x, n), std::ldexp(x, n)) << x << " 2^" << n;
    }
  }
  EXPECT_GT(cases, 3000);
  EXPECT_GT(apply<float>(Operation::ldexp, 1.5F, 128.0F), 3.4e38F);
  EXPECT_EQ(apply<float>(Operation::ldexp, 0.75F, 128.0F), std::ldexp(0.75F, 128));
  EXPECT_EQ(apply<double>(Operation::ldexp, 0.75, 1024.0), std::ldexp(0.75, 1024));
}

#if !defined(__FAST_MATH__)
/// a 2^-64 rounded once, also where it is denormal, and zero only where that is nearest.
TEST_P(Vec, shrinks_with_one_rounding) {
#if !defined(__FAST_MATH__)  // which flushes what is denormal
  for (int exponent = -100; exponent < 127; ++exponent) {
    for (const double digits : {1.0, 1.0000001, 1.25, 1.4999999, 1.5, 1.5000001, 1.9999998}) {
      for (const double sign : {1.0, -1.0}) {
        const auto x = static_cast<float>(sign * std::ldexp(digits, exponent));
        const auto exact = static_cast<float>(std::ldexp(static_cast<double>(x), -64));
        EXPECT_EQ(apply<float>(Operation::shrink, x), exact) << x;
        const double far = std::ldexp(static_cast<double>(x), exponent < 0 ? -930 : 0);
        EXPECT_EQ(apply<double>(Operation::shrink, far), std::ldexp(far, -64)) << far;
      }
    }
  }
#endif
  const float nan = apply<float>(Operation::shrink, std::bit_cast<float>(0x7fc00000U));
  EXPECT_GT(std::bit_cast<std::uint32_t>(nan) & 0x7fffffffU, 0x7f800000U);
  EXPECT_EQ(apply<float>(Operation::shrink, 0.0F), 0.0F);
}

TEST_P(Vec, takes_the_second_of_minimum_and_maximum_for_nan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(apply<float>(Operation::minimum, nan, 2.0F), 2.0F);
  EXPECT_EQ(apply<float>(Operation::maximum, nan, 2.0F), 2.0F);
  EXPECT_NE(apply<float>(Operation::minimum, 2.0F, nan), 2.0F);
  EXPECT_NE(apply<float>(Operation::maximum, 2.0F, nan), 2.0F);
  EXPECT_EQ(apply<double>(Operation::minimum, double(nan), 2.0), 2.0);
  EXPECT_NE(apply<double>(Operation::maximum, 2.0, double(nan)), 2.0);
}
#endif

TEST_P(Vec, partial_access_touches_nothing_else) {
  expect_partial_access_stays_inside<float>(GetParam());
  expect_partial_access_stays_inside<double>(GetParam());
}

TEST_P(Vec, reduces_in_the_documented_order) {
  expect_fixed_order_of_sums<float>(GetParam());
  expect_fixed_order_of_sums<double>(GetParam());
}

TEST_P(Vec, transposes_and_swaps_pairs) {
  expect_transpose<float>(GetParam());
  expect_transpose<double>(GetParam());
}

TEST_P(Vec, adds_up_the_lanes_of_many_at_once) {
  expect_sums_of_rows<float>(GetParam());
  expect_sums_of_rows<double>(GetParam());
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Vec, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
