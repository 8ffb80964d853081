// SPDX-License-Identifier: MIT

#include <eigenformer/ops/gated.hpp>

#include <gtest/gtest.h>

#include "reference/activations.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

namespace {

constexpr Index rows = 13;
constexpr Index features = 67;

template <class T>
struct Halves {
  ef::Matrix<T> both;  // gate and up in one matrix, as a fused projection writes them
  ef::ConstRowsView<T> gate{both.data(), rows, features, 2 * features};
  ef::ConstRowsView<T> up{both.data() + features, rows, features, 2 * features};

  explicit Halves(support::Generator& random) : both(rows, 2 * features) {
    support::fill(both, support::Distribution::normal, random);
  }
};

}  // namespace

TEST(Gated, is_the_activation_of_the_gate_times_up) {
  support::Generator random(31);
  const Halves<float> halves(random);
  ef::Context context;
  ef::Matrix<float> y(rows, features);
  ef::gated<ef::Silu, float>(halves.gate, halves.up, y, context);
  ef::Matrix<double> exact(rows, features);
  for (Index i = 0; i < exact.size(); ++i) {
    const Index n = i / features;
    exact.data()[i] = reference::silu(double(halves.gate(n, i % features))) * double(halves.up(n, i % features));
  }
  EXPECT_TRUE(support::within(support::ulp_error(y, exact), tolerance::elementwise_ulp + 1));
}

TEST(Gated, has_the_gradients_of_its_differences) {
  support::Generator random(32);
  Halves<double> halves(random);
  ef::Matrix<double> dy(rows, features);
  support::fill(dy, support::Distribution::normal, random);
  ef::Context context;
  ef::Matrix<double> gradients(rows, 2 * features);
  const ef::RowsView<double> dgate(gradients.data(), rows, features, 2 * features);
  const ef::RowsView<double> dup(gradients.data() + features, rows, features, 2 * features);
  ef::gated_backward<ef::Gelu, double>(halves.gate, halves.up, dy, dgate, dup, context);
  const auto loss = [&] {
    ef::Matrix<double> y(rows, features);
    ef::gated<ef::Gelu, double>(halves.gate, halves.up, y, context);
    return y.cwiseProduct(dy).sum();
  };
  const double h = tolerance::difference_step;
  for (Index i = 0; i < halves.both.size(); i += 17) {
    const double kept = halves.both.data()[i];
    halves.both.data()[i] = kept + h;
    const double above = loss();
    halves.both.data()[i] = kept - h;
    const double difference = (above - loss()) / (2 * h);
    halves.both.data()[i] = kept;
    EXPECT_NEAR(gradients.data()[i], difference,
                tolerance::difference_abs + tolerance::difference_rel * std::abs(difference));
  }
}

TEST(Gated, may_overwrite_what_it_reads) {
  support::Generator random(33);
  const Halves<float> halves(random);
  ef::Matrix<float> dy(rows, features);
  support::fill(dy, support::Distribution::normal, random);
  ef::Context context;
  ef::Matrix<float> dgate(rows, features);
  ef::Matrix<float> dup(rows, features);
  ef::gated_backward<ef::Silu, float>(halves.gate, halves.up, dy, dgate, dup, context);
  ef::Matrix<float> both = halves.both;
  const ef::RowsView<float> gate(both.data(), rows, features, 2 * features);
  const ef::RowsView<float> up(both.data() + features, rows, features, 2 * features);
  ef::gated_backward<ef::Silu, float>(gate, up, dy, gate, up, context);
  EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(gate), dgate));
  EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(up), dup));
}

TEST(Gated, gives_the_same_bits_for_any_number_of_threads_and_allocates_nothing) {
  support::Generator random(34);
  ef::Matrix<float> gate(1009, 257);
  ef::Matrix<float> up(1009, 257);
  support::fill(gate, support::Distribution::normal, random);
  support::fill(up, support::Distribution::normal, random);
  ef::Matrix<float> expected(1009, 257);
  ef::Context one;
  ef::gated<ef::Silu, float>(gate, up, expected, one);
  for (const int threads : {2, 3}) {
    ef::Context context({.threads = threads});
    ef::Matrix<float> y(1009, 257);
    ef::gated<ef::Silu, float>(gate, up, y, context);
    EXPECT_TRUE(support::bit_equal(y, expected));
    if (!support::AllocationCounter::available()) continue;
    EXPECT_EQ(support::allocations_during([&] { ef::gated<ef::Silu, float>(gate, up, y, context); }), 0);
  }
}

TEST(Gated, rejects_other_shapes) {
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Ones(3, 5);
  const ef::Matrix<float> wide = ef::Matrix<float>::Ones(3, 6);
  ef::Matrix<float> y(3, 5);
  ef::Matrix<float> tall(4, 5);
  EXPECT_THROW((ef::gated<ef::Silu, float>(x, wide, y, context)), ef::ShapeError);
  EXPECT_THROW((ef::gated<ef::Silu, float>(x, x, tall, context)), ef::ShapeError);
  EXPECT_THROW((ef::gated_backward<ef::Silu, float>(x, x, wide, y, y, context)), ef::ShapeError);
  EXPECT_THROW((ef::gated_backward<ef::Silu, float>(x, x, x, tall, y, context)), ef::ShapeError);
  EXPECT_THROW((ef::gated_backward<ef::Silu, float>(x, x, x, y, tall, context)), ef::ShapeError);
}
