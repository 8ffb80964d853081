// SPDX-License-Identifier: MIT

#include <eigenformer/ops/activation.hpp>

#include <gtest/gtest.h>

#include "reference/activations.hpp"
#include "reference/central_difference.hpp"
#include "support/alignment.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

namespace {

template <class A>
struct Named {
  using Type = A;
  const char* golden;
};
const auto golden_cases = std::tuple(
    Named<ef::Relu>{"relu"}, Named<ef::Gelu>{"gelu_erf"}, Named<ef::GeluTanh>{"gelu_tanh"}, Named<ef::Silu>{"silu"},
    Named<ef::Sigmoid>{"sigmoid"}, Named<ef::Tanh>{"tanh"}, Named<ef::HardSwish>{"hardswish"});

template <class A, class T>
void expect_golden(const support::Golden& golden, const std::string& name) {
  const ef::Tensor<T, 1> x = golden.tensor<T, 1>("x");
  ef::Tensor<T, 1> ones(x.size());
  ones.setConstant(T(1));
  ef::Tensor<T, 1> y(x.size());
  ef::Tensor<T, 1> dx(x.size());
  ef::Context context;
  ef::activate<A, T>(x, y, context);
  ef::activate_backward<A, T>(x, ones, dx, context);
  const auto exact = golden.values<double>(name);
  EXPECT_TRUE(support::within(support::mixed_error(y, exact, tolerance::pytorch_abs<T>, tolerance::pytorch_rel<T>), 1))
      << name;
  // PyTorch's own derivative of tanh GELU cancels: 1e-15 off where it should be 1.
  const auto slope = golden.values<double>("grad." + name);
  EXPECT_TRUE(support::within(support::max_error(dx, slope), 16 * tolerance::epsilon<T>)) << name;
}

}  // namespace

TEST(Activate, matches_pytorch) {
  const support::Golden golden("activations_90");
  std::apply(
      [&](auto... named) {
        (expect_golden<typename decltype(named)::Type, float>(golden, named.golden), ...);
        (expect_golden<typename decltype(named)::Type, double>(golden, named.golden), ...);
      },
      golden_cases);
}

namespace {

template <class A>
class Activate : public testing::Test {};
using Activations = testing::Types<ef::Identity, ef::Relu, ef::SquaredRelu, ef::Sigmoid, ef::Tanh, ef::Silu, ef::Gelu,
                                   ef::GeluTanh, ef::HardSwish>;

template <class A, class T>
T value(T x) {
  ef::Vector<T> one = ef::Vector<T>::Constant(1, x);
  ef::Context context;
  ef::activate<A, T>(one, one, context);
  return one[0];
}

}  // namespace

TYPED_TEST_SUITE(Activate, Activations);

TYPED_TEST(Activate, has_the_slope_of_its_own_differences) {
  ef::Context context;
  int cases = 0;
  for (double x = -9.017; x < 9; x += 0.1) {  // steps over the corners at -3, 0 and 3
    ef::Vector<double> dx = ef::Vector<double>::Ones(1);
    ef::activate_backward<TypeParam, double>(ef::Vector<double>::Constant(1, x).eval(), dx, dx, context);
    const double h = tolerance::difference_step;
    const double difference = (value<TypeParam>(x + h) - value<TypeParam>(x - h)) / (2 * h);
    EXPECT_NEAR(dx[0], difference, tolerance::difference_abs + tolerance::difference_rel * std::abs(difference)) << x;
    ++cases;
  }
  EXPECT_EQ(cases, 181);
}

TYPED_TEST(Activate, takes_any_rank_and_eigen_matrices) {
  support::Generator random(21);
  ef::Context context;
  ef::Tensor<float, 4> x(2, 3, 5, 7);
  support::fill(x, support::Distribution::normal, random);
  ef::Tensor<float, 4> y(2, 3, 5, 7);
  ef::activate<TypeParam, float>(x, y, context);
  ef::Matrix<float> matrix = Eigen::Map<ef::Matrix<float>>(x.data(), 10, 21);
  ef::activate<TypeParam, float>(matrix, matrix, context);  // in place
  EXPECT_TRUE(support::bit_equal(matrix, y));
  ef::Tensor<float, 1> flat = x.reshape(std::array<Index, 1>{210});
  ef::activate<TypeParam, float>(flat, flat, context);
  EXPECT_TRUE(support::bit_equal(flat, y));
}

TYPED_TEST(Activate, gives_the_same_bits_for_any_stride_alignment_and_number_of_threads) {
  support::Generator random(22);
  constexpr Index rows = 37;
  constexpr Index features = 1009;
  const auto x = support::normal<float>(rows * features, random, 4);
  const auto dy = support::normal<float>(rows * features, random);
  const ef::ConstRowsView<float> whole(x.data(), rows, features, features);
  const ef::ConstRowsView<float> upstream(dy.data(), rows, features, features);
  ef::Matrix<float> expected(rows, features);
  ef::Matrix<float> expected_dx(rows, features);
  ef::Context one;
  ef::activate<TypeParam, float>(whole, expected, one);
  ef::activate_backward<TypeParam, float>(whole, upstream, expected_dx, one);
  for (const int threads : {1, 2, 3}) {
    ef::Context context({.threads = threads});
    for (std::ptrdiff_t offset = 0; offset < support::alignment_offsets; ++offset) {
      support::GuardedRows<float> in(rows, features, features + offset % 4 * 3, offset);
      support::GuardedRows<float> out(rows, features, features + offset, offset);
      for (Index n = 0; n < rows; ++n) std::copy_n(&x[static_cast<std::size_t>(n * features)], features, &in(n, 0));
      const ef::ConstRowsView<float> in_view(in.data(), rows, features, in.row_stride());
      const ef::RowsView<float> out_view(out.data(), rows, features, out.row_stride());
      ef::activate<TypeParam, float>(in_view, out_view, context);
      ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(out_view), expected))
          << threads << " threads, offset " << offset;
      ef::activate_backward<TypeParam, float>(in_view, upstream, out_view, context);
      ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(out_view), expected_dx));
      ASSERT_TRUE(out.untouched_outside());
    }
  }
}

TEST(ActivateOnce, allocates_nothing) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::Matrix<float> x = ef::Matrix<float>::Ones(257, 1009);
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    ef::activate<ef::Gelu, float>(x, x, context);
    EXPECT_EQ(support::allocations_during([&] {
                ef::activate<ef::Gelu, float>(x, x, context);
                ef::activate_backward<ef::Gelu, float>(x, x, x, context);
              }),
              0);
  }
}

TEST(ActivateOnce, rejects_other_shapes_and_writes_nothing) {
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Ones(3, 5);
  ef::Matrix<float> narrow = ef::Matrix<float>::Constant(3, 4, 7);
  ef::Matrix<float> short_one = ef::Matrix<float>::Constant(2, 5, 7);
  EXPECT_THROW((ef::activate<ef::Relu, float>(x, narrow, context)), ef::ShapeError);
  EXPECT_THROW((ef::activate<ef::Relu, float>(x, short_one, context)), ef::ShapeError);
  EXPECT_THROW((ef::activate_backward<ef::Relu, float>(x, narrow, short_one, context)), ef::ShapeError);
  EXPECT_THROW((ef::activate_backward<ef::Relu, float>(x, x, short_one, context)), ef::ShapeError);
  EXPECT_TRUE((narrow.array() == 7).all());
  EXPECT_TRUE((short_one.array() == 7).all());
  try {
    ef::activate<ef::Relu, float>(x, narrow, context);
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "activate: expected last dimension 5, got y of shape [3, 4]");
  }
}
