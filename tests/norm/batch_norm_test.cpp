// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/norm/batch_norm.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "norm/channel_case.hpp"
#include "support/alignment.hpp"
#include "support/allocation.hpp"
#include "support/golden.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using channel_case::as_items;
using ef::Index;
using norm_case::Case;
using norm_case::wide;
using support::Distribution;

static_assert(ef::TokenwiseBlock<ef::BatchNorm<float>, float> && ef::TokenwiseBlock<ef::BatchNorm<double>, double>);

namespace {

template <class T>
ef::BatchNorm<T> norm_of(const Case<T>& c, double epsilon = 1e-5,
                         const ef::RunningStatistics& statistics = ef::MovingAverage{}) {
  ef::BatchNorm<T> norm({.dim = c.x.cols(), .epsilon = epsilon, .statistics = statistics});
  norm.weight->value = c.weight;
  norm.bias->value = c.bias;
  return norm;
}

/// One step of training.
template <class T>
struct Step {
  ef::Matrix<T> y, dx;
  typename ef::BatchNorm<T>::Cache cache;

  Step(ef::BatchNorm<T>& norm, const ef::Matrix<T>& x, const ef::Matrix<T>& dy, ef::Context& context)
      : y(x.rows(), x.cols()), dx(x.rows(), x.cols()) {
    norm.forward(x, y, context, &cache);
    norm.backward(dy, cache, dx, context);
  }
};

template <class T>
void expect_golden(const std::string& name) {
  const support::Golden golden(name);
  const ef::Shape shape = golden.shape("x");
  const Index channels = shape[1];
  const Index positions = shape.size() / shape[0] / channels;
  const auto read = [&]<class U>(std::string_view tensor, U) {
    return channel_case::channels_last(golden.values<U>(tensor), shape[0], channels, positions);
  };
  const double epsilon = golden.parameter<double>("eps");
  ef::BatchNorm<T> norm({.dim = channels,
                         .epsilon = epsilon,
                         .statistics = ef::MovingAverage{.momentum = golden.parameter<double>("momentum")}});
  norm.weight->value = golden.vector<T>("weight");
  norm.bias->value = golden.vector<T>("bias");
  norm.running_mean.value = golden.vector<T>("running_mean0");
  norm.running_var.value = golden.vector<T>("running_var0");
  ef::Context context;
  const double gain = static_cast<double>(norm.weight->value.cwiseAbs().maxCoeff());
  const double nmse = 1e-12;  // gradients of more than 256 numbers are stored rounded to float
  const auto expect_running = [&](const std::string& step) {
    EXPECT_TRUE(
        support::within(support::max_error(norm.running_mean.value, golden.values<double>("running_mean" + step)),
                        8 * tolerance::epsilon<T>));
    EXPECT_TRUE(
        support::within(support::mixed_error(norm.running_var.value, golden.values<double>("running_var" + step), 0,
                                             8 * tolerance::epsilon<T>),
                        1));
  };
  const Step<T> first(norm, read("x", T()), read("d_y", T()), context);
  EXPECT_TRUE(support::within(support::max_error(first.y, read("y", double())), tolerance::norm_abs<T>(gain)));
  EXPECT_TRUE(support::within(support::worst_row_nmse(first.dx, read("grad.x", double()), first.dx.size()), nmse));
  EXPECT_TRUE(support::within(
      support::worst_row_nmse(norm.weight->gradient, golden.values<double>("grad.weight"), channels), nmse));
  EXPECT_TRUE(support::within(
      support::worst_row_nmse(norm.bias->gradient, golden.values<double>("grad.bias"), channels), nmse));
  expect_running("1");

  const ef::Matrix<T> x2 = read("x2", T());
  ef::Matrix<T> y2(x2.rows(), channels);
  typename ef::BatchNorm<T>::Cache cache;
  norm.forward(x2, y2, context, &cache);
  norm.update_statistics(cache);
  EXPECT_TRUE(support::within(support::max_error(y2, read("y2", double())), tolerance::norm_abs<T>(gain)));
  expect_running("2");
  EXPECT_EQ(norm.num_batches_tracked.value(), 2);

  const ef::Matrix<T> x3 = read("x3", T());
  EXPECT_TRUE(
      support::within(support::max_error(norm(x3), read("y3_eval", double())), 2 * tolerance::norm_abs<T>(gain)));
  norm.statistics = ef::FixedStatistics{};
  ef::zero_gradients(norm);
  const Step<T> third(norm, x3, read("d_y3_eval", T()), context);
  EXPECT_TRUE(support::within(support::worst_row_nmse(third.dx, read("grad.x3", double()), third.dx.size()), nmse));
  EXPECT_TRUE(support::within(
      support::worst_row_nmse(norm.weight->gradient, golden.values<double>("grad.weight_eval"), channels), nmse));
  EXPECT_TRUE(support::within(
      support::worst_row_nmse(norm.bias->gradient, golden.values<double>("grad.bias_eval"), channels), nmse));
  EXPECT_EQ(norm.num_batches_tracked.value(), 2);
}

}  // namespace

TEST(BatchNorm, matches_pytorch_in_training_and_inference) {
  expect_golden<float>("batch_norm1d_12x20");
  expect_golden<double>("batch_norm1d_12x20");
  expect_golden<float>("batch_norm2d_3x8x6x5");
  expect_golden<double>("batch_norm2d_3x8x6x5");
}

namespace {

template <class T>
void expect_reference(const Case<T>& c, double epsilon, ef::InstructionSet set, const std::string& name) {
  ef::BatchNorm<T> norm = norm_of(c, epsilon);
  ef::Context context({.instruction_set = set});
  const Index channels = c.x.cols();
  const auto x = channel_case::wide_from_first(c.x, 1, channels);
  const auto exact = reference::channel_norm<long double>(x, channels, wide(c.weight), wide(c.bias), epsilon);
  const auto gradients =
      reference::channel_norm_backward<long double>(x, channels, wide(c.weight), epsilon, as_items(c.dy, 1));
  const Step<T> step(norm, c.x, c.dy, context);
  const auto where =
      name + " " + std::string(ef::name(set)) + " " + std::to_string(c.x.rows()) + " x " + std::to_string(channels);
  // One spike in a channel of n is sqrt(n) after the norm; the limit is for values of size 1.
  double largest = 1;
  for (const long double y : exact.y.values) largest = (std::max)(largest, static_cast<double>(std::abs(y)));
  EXPECT_TRUE(support::within(support::max_error(step.y, exact.y, largest), tolerance::norm_abs<T>(c.largest_gain())))
      << where;
  channel_case::expect_dx(step.dx, gradients.dx, c.weight, c.dy, exact.variance, epsilon, where);
  const double rows = static_cast<double>(c.x.rows());
  EXPECT_TRUE(support::within(support::max_error(norm.weight->gradient, gradients.dweight, std::sqrt(rows)),
                              32 * tolerance::epsilon<T> * largest))
      << where;
  EXPECT_TRUE(support::within(support::max_error(norm.bias->gradient, gradients.dbias, std::sqrt(rows)),
                              32 * tolerance::epsilon<T>))
      << where;
}

constexpr std::pair<Index, Index> shapes[] = {{2, 1}, {3, 7}, {17, 31}, {67, 127}, {331, 5}, {64, 61}, {4099, 67}};

}  // namespace

TEST(BatchNorm, equals_the_reference_on_every_instruction_set_and_distribution) {
  support::Generator random(201);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (const Distribution distribution : support::distributions) {
      for (const auto& [rows, channels] : shapes) {
        if (rows > 1000 && distribution != Distribution::normal && distribution != Distribution::huge) continue;
        const std::string what(name(distribution));
        expect_reference(Case<float>(rows, channels, distribution, random), 1e-5, set, what);
        if (rows < 1000) expect_reference(Case<double>(rows, channels, distribution, random), 1e-5, set, what);
        ++cases;
      }
    }
  }
  EXPECT_GE(cases, 56);
}

TEST(BatchNorm, loses_nothing_to_a_mean_far_above_the_deviation) {
  support::Generator random(202);
  ef::Context context;
  int cases = 0;
  for (const double ratio : {0.0, 10.0, 1e2, 1e4, 1e6, 1e8}) {
    for (const double deviation : {1.0, 1e-3, 1e3}) {
      Case<float> c(769, 3, Distribution::normal, random);
      for (Index i = 0; i < c.x.size(); ++i) c.x.data()[i] = static_cast<float>(deviation * (ratio + random.normal()));
      ef::BatchNorm<float> norm({.dim = 3});
      const Step<float> step(norm, c.x, c.dy, context);
      const auto exact = reference::channel_norm<long double>(channel_case::wide_from_first(c.x, 1, 3), 3,
                                                              reference::Array<long double>({3}, 1.0L),
                                                              reference::Array<long double>({3}, 0.0L), 1e-5);
      EXPECT_TRUE(support::within(support::max_error(step.y, exact.y), 2e-6)) << ratio << " x " << deviation;
      const auto plain =
          reference::channel_norm<long double>(as_items(c.x, 1), 3, reference::Array<long double>({3}, 1.0L),
                                               reference::Array<long double>({3}, 0.0L), 1e-5);
      for (Index k = 0; k < 3; ++k) {
        EXPECT_NEAR(step.cache.mean.data()[k], static_cast<double>(plain.mean(0, k)),
                    4 * tolerance::epsilon<float> * std::abs(static_cast<double>(plain.mean(0, k))) +
                        tolerance::epsilon<float> * deviation);
        const double variance = static_cast<double>(exact.variance(0, k));
        EXPECT_NEAR(step.cache.variance.data()[k], variance, 4 * tolerance::epsilon<float> * variance);
      }
      ++cases;
    }
  }
  EXPECT_EQ(cases, 18);
}

/// The first rows, near which the sums are taken at first, tell nothing of the others.
TEST(BatchNorm, finds_the_mean_again_where_the_first_rows_are_unlike_the_others) {
  support::Generator random(203);
  for (const Index rows : {499, 20011}) {
    Case<float> c(rows, 23, Distribution::normal, random);
    for (Index n = 70; n < rows; ++n) c.x.row(n).array() += 1e5F;
    for (Index n = 0; n < 70; ++n) c.x.row(n).setConstant(n % 2 == 0 ? -1e5F : 1e5F);
    c.x.row(0).setConstant(3e9F);
    expect_reference(c, 1e-5, ef::best_instruction_set(), "unlike");
  }
}

TEST(BatchNorm, of_equal_numbers_is_exactly_the_bias) {
  support::Generator random(204);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    ef::Context context({.instruction_set = set});
    for (const Index rows : {2, 3, 67, 131, 9001}) {
      const Case<float> c(rows, 37, Distribution::normal, random);
      for (const float constant : {0.0F, 0.1F, -3.3F, 1e6F, 12345.678F, 1e18F, -1e30F, 1e-30F, 3e38F, 1e-42F}) {
        for (const double epsilon : {1e-5, 0.0}) {
          ef::BatchNorm<float> norm = norm_of(c, epsilon);
          const Step<float> step(norm, ef::Matrix<float>::Constant(rows, 37, constant), c.dy, context);
          for (Index i = 0; i < step.y.size(); ++i) ASSERT_EQ(step.y.data()[i], c.bias[i % 37]) << constant;
          ASSERT_EQ(step.cache.mean.data()[36], static_cast<double>(constant));
          ASSERT_EQ(step.cache.variance.data()[36], 0);
          ++cases;
        }
      }
    }
  }
  EXPECT_GE(cases, 100);
}

TEST(BatchNorm, of_any_finite_magnitude_is_right) {
  support::Generator random(205);
  int cases = 0;
  for (const double magnitude : {1e-44, 1e-40, 1e-30, 1e-18, 1e18, 1e30, 1e37}) {
    for (const double epsilon : {1e-5, 0.0}) {
#if defined(__FAST_MATH__)
      if (magnitude < 1e-37 || magnitude > 1e36) continue;  // the program flushes such numbers and gradients
#endif
      Case<float> c(127, 5, Distribution::normal, random);
      for (Index i = 0; i < c.x.size(); ++i) c.x.data()[i] = static_cast<float>(magnitude * random.normal());
      expect_reference(c, epsilon, ef::best_instruction_set(), std::to_string(magnitude));
      ++cases;
    }
  }
#if !defined(__FAST_MATH__)
  EXPECT_EQ(cases, 14);
#endif
  ef::Context context;
  ef::Matrix<float> x(64, 2);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = i / 2 % 2 == 0 ? 3.4e38F : -3.4e38F;
  ef::BatchNorm<float> norm({.dim = 2});
  const Step<float> step(norm, x, x, context);
  for (Index i = 0; i < x.size(); ++i) EXPECT_NEAR(step.y.data()[i], i / 2 % 2 == 0 ? 1 : -1, 1e-6);
}

TEST(BatchNorm, has_the_gradients_of_its_differences) {
  support::Generator random(206);
  Case<double> c(7, 3, Distribution::normal, random);
  ef::BatchNorm<double> norm = norm_of(c);
  ef::Context context;
  const Step<double> step(norm, c.x, c.dy, context);
  ef::BatchNorm<double>::Cache cache;
  ef::Matrix<double> y(7, 3);
  int cases = 0;
  const auto expect_difference = [&](double& number, double gradient) {
    const double kept = number;
    double sides[2];
    for (const int side : {0, 1}) {
      number = kept + (side == 0 ? -1 : 1) * tolerance::difference_step;
      norm.forward(c.x, y, context, &cache);
      sides[side] = y.cwiseProduct(c.dy).sum();
    }
    number = kept;
    const double difference = (sides[1] - sides[0]) / (2 * tolerance::difference_step);
    EXPECT_NEAR(gradient, difference, tolerance::difference_abs + tolerance::difference_rel * std::abs(difference));
    ++cases;
  };
  for (Index i = 0; i < c.x.size(); ++i) expect_difference(c.x.data()[i], step.dx.data()[i]);
  for (Index k = 0; k < 3; ++k) expect_difference(norm.weight->value[k], norm.weight->gradient[k]);
  for (Index k = 0; k < 3; ++k) expect_difference(norm.bias->value[k], norm.bias->gradient[k]);
  EXPECT_EQ(cases, 7 * 3 + 6);
}

namespace {

/// Running statistics after some batches, by PyTorch's formula in long double.
void expect_running(const ef::RunningStatistics& statistics, int batches) {
  support::Generator random(207);
  ef::BatchNorm<float> norm({.dim = 5, .statistics = statistics});
  std::vector<long double> mean(5, 0.0L), variance(5, 1.0L);
  ef::Context context;
  const auto ones = reference::Array<long double>({5}, 1.0L);
  for (int batch = 1; batch <= batches; ++batch) {
    ef::Matrix<float> x(11 + batch % 3, 5);
    for (Index i = 0; i < x.size(); ++i)
      x.data()[i] = static_cast<float>(3.0 + double(i % 5) + batch * random.normal());
    Step<float>(norm, x, x, context);
    const auto exact = reference::channel_norm<long double>(as_items(x, 1), 5, ones, ones, 1e-5);
    const auto* const moving = std::get_if<ef::MovingAverage>(&statistics);
    const long double share = moving ? static_cast<long double>(moving->momentum) : 1.0L / batch;
    const long double n = static_cast<long double>(x.rows());
    for (std::size_t k = 0; k < 5; ++k) {
      mean[k] = reference::running_average(mean[k], exact.mean(0, k), share);
      variance[k] = reference::running_average(variance[k], exact.variance(0, k) * n / (n - 1), share);
    }
  }
  EXPECT_EQ(norm.num_batches_tracked.value(), batches);
  EXPECT_TRUE(support::within(support::mixed_error(norm.running_mean.value, mean, 0, 1e-6), 1)) << batches;
  EXPECT_TRUE(support::within(support::mixed_error(norm.running_var.value, variance, 0, 1e-6), 1)) << batches;
}

}  // namespace

TEST(BatchNorm, moves_its_running_statistics_as_pytorch_does) {
  for (const int batches : {1, 2, 100}) {
    expect_running(ef::MovingAverage{}, batches);
    expect_running(ef::MovingAverage{.momentum = 0.37}, batches);
    expect_running(ef::CumulativeAverage{}, batches);
  }
  EXPECT_EQ(ef::MovingAverage{}.momentum, 0.1);
}

TEST(BatchNorm, with_fixed_statistics_trains_by_them_and_leaves_them_alone) {
  support::Generator random(208);
  const Case<float> c(13, 7, Distribution::normal, random);
  ef::BatchNorm<float> norm = norm_of(c, 1e-5, ef::FixedStatistics{});
  support::fill(norm.running_mean.value, Distribution::normal, random);
  norm.running_var.value = norm.running_mean.value.cwiseAbs2();
  const ef::Vector<float> mean = norm.running_mean.value, variance = norm.running_var.value;
  ef::Context context;
  const Step<float> step(norm, c.x, c.dy, context);
  const auto exact = reference::channel_norm_by<long double>(wide(c.x), wide(mean), wide(variance), wide(c.weight),
                                                             wide(c.bias), 1e-5);
  EXPECT_TRUE(support::within(support::worst_row_nmse(step.y, exact, 7), 1e-12));
  EXPECT_TRUE(support::bit_equal(norm(c.x), step.y));
  for (Index n = 0; n < 13; ++n) {
    for (Index k = 0; k < 7; ++k) {
      const double expected = double(c.dy(n, k)) * double(c.weight[k]) / std::sqrt(double(variance[k]) + 1e-5);
      EXPECT_NEAR(step.dx(n, k), expected, 4 * tolerance::epsilon<float> * std::abs(expected));
    }
  }
  EXPECT_TRUE(support::bit_equal(norm.running_mean.value, mean) &&
              support::bit_equal(norm.running_var.value, variance));
  EXPECT_EQ(norm.num_batches_tracked.value(), 0);
}

TEST(BatchNorm, of_one_value_per_channel_is_an_error_in_training_and_leaves_all_alone) {
  ef::BatchNorm<float> norm({.dim = 5});
  ef::BatchNorm<float>::Cache cache;
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Constant(1, 5, 3);
  ef::Matrix<float> y = ef::Matrix<float>::Constant(1, 5, 7);
  try {
    norm.forward(x, y, context, &cache);
    FAIL();
  } catch (const ef::ValueError& error) {
    EXPECT_STREQ(error.what(),
                 "BatchNorm: expected more than 1 value per channel in training, got 1 in x of shape [1, 5]");
  }
  EXPECT_TRUE((y.array() == 7).all());
  EXPECT_THROW(norm.backward(x, cache, y, context), ef::ShapeError);
  EXPECT_TRUE((norm.running_mean.value.array() == 0).all() && (norm.running_var.value.array() == 1).all());
  EXPECT_EQ(norm.num_batches_tracked.value(), 0);
  norm.forward(x, y, context);  // inference takes it
  norm.statistics = ef::FixedStatistics{};
  norm.forward(x, y, context, &cache);
  norm.backward(x, cache, y, context);
}

TEST(BatchNorm, names_the_channel_of_a_running_variance_that_no_deviation_comes_from) {
  ef::BatchNorm<float> norm({.dim = 5});
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Ones(2, 5);
  ef::Matrix<float> y = ef::Matrix<float>::Constant(2, 5, 7);
  const auto expect_error = [&](float variance, const std::string& message) {
    norm.running_var.value[3] = variance;
    try {
      norm.forward(x, y, context);
      ADD_FAILURE() << message;
    } catch (const ef::ValueError& error) {
      EXPECT_EQ(std::string(error.what()).substr(0, message.size()), message);
      EXPECT_TRUE(std::string(error.what()).ends_with(" in channel 3")) << error.what();
    }
    EXPECT_THROW(norm.check_statistics(), ef::ValueError);
    EXPECT_TRUE((y.array() == 7).all());
  };
  const std::string message = "BatchNorm: expected a running variance that is finite and not negative, got ";
  expect_error(-1e-5F, message + "-1e-05");
  expect_error(std::numeric_limits<float>::infinity(), message + "inf");
  expect_error(std::numeric_limits<float>::quiet_NaN(), message);
  norm.epsilon = 0;
  expect_error(0, "BatchNorm: expected a running variance or epsilon above 0, got 0");
  norm.epsilon = 1e-5;
  norm.forward(x, y, context);
  norm.running_var.value[3] = 1;
  norm.running_mean.value[3] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(norm.forward(x, y, context), ef::ValueError);
  // Training by the batch does not need them.
  ef::BatchNorm<float>::Cache cache;
  norm.forward(x, y, context, &cache);
}

#if !defined(__FAST_MATH__)
TEST(BatchNorm, says_in_inference_that_a_variance_was_too_large_for_its_type) {
  support::Generator random(209);
  ef::Matrix<float> x(11, 3);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(1e30 * random.normal());
  ef::BatchNorm<float> norm({.dim = 3});
  ef::Context context;
  const Step<float> step(norm, x, x, context);
  EXPECT_TRUE(support::all_finite(step.y));
  EXPECT_THROW(norm(x), ef::ValueError);
}

TEST(BatchNorm, keeps_NaN_and_infinity_in_their_channel) {
  support::Generator random(210);
  for (const Index rows : {37, 9001}) {
    Case<float> c(rows, 31, Distribution::normal, random);
    ef::Context context;
    ef::BatchNorm<float> norm = norm_of(c);
    const Step<float> clean(norm, c.x, c.dy, context);
    for (const float poison : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      c.x(rows - 1, 30) = poison;
      const Step<float> step(norm, c.x, c.dy, context);
      EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(step.y.leftCols(30)), ef::Matrix<float>(clean.y.leftCols(30))));
      for (Index n = 0; n < rows; ++n) ASSERT_TRUE(support::is_nan(step.y(n, 30))) << poison;
    }
  }
}
#endif

namespace {

void expect_lengths(Index batch, Index length, const std::vector<Index>& lengths, support::Generator& random) {
  constexpr Index channels = 5;
  Case<float> c(batch * length, channels, Distribution::normal, random);
  ef::BatchNorm<float> norm = norm_of(c);
  reference::Counted counted;
  for (Index n = 0; n < batch * length; ++n) {
    counted.push_back(n % length < lengths[static_cast<std::size_t>(n / length)]);
    if (!counted.back()) c.x.row(n).setConstant(std::bit_cast<float>(0x7fc00000U));  // NaN changes nothing
    if (!counted.back()) c.dy.row(n).setConstant(std::bit_cast<float>(0x7fc00000U));
  }
  ef::Tensor<float, 3> y(batch, length, channels), dx(batch, length, channels);
  const ef::ConstTensorView<float, 3> x(c.x.data(), batch, length, channels);
  const ef::ConstTensorView<float, 3> dy(c.dy.data(), batch, length, channels);
  ef::BatchNorm<float>::Cache cache;
  ef::Context context;
  norm.forward(x, y, lengths, context, &cache);
  norm.backward(dy, cache, dx, context);
  for (Index n = 0; n < batch * length; ++n) {
    if (!counted[static_cast<std::size_t>(n)]) c.x.row(n).setZero(), c.dy.row(n).setZero();
  }
  const auto exact =
      reference::channel_norm<long double>(as_items(c.x, 1), channels, wide(c.weight), wide(c.bias), 1e-5, counted);
  const auto gradients = reference::channel_norm_backward<long double>(as_items(c.x, 1), channels, wide(c.weight), 1e-5,
                                                                       as_items(c.dy, 1), counted);
  EXPECT_TRUE(support::within(support::max_error(y, exact.y), tolerance::norm_abs<float>(c.largest_gain())));
  EXPECT_TRUE(
      support::within(support::worst_row_nmse(dx, gradients.dx, dx.size()), tolerance::backward_row_nmse<float>));
  EXPECT_TRUE(support::within(support::worst_row_nmse(norm.weight->gradient, gradients.dweight, channels),
                              tolerance::backward_row_nmse<float>));
  for (Index k = 0; k < channels; ++k) {
    const double n = static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), Index(0)));
    EXPECT_NEAR(norm.running_var.value[k], 0.9 + 0.1 * double(exact.variance(0, k)) * n / (n - 1), 1e-6);
  }
  const ef::Tensor<float, 3> inference = norm(x, std::span<const Index>(lengths));
  for (Index n = 0; n < batch * length; ++n) {
    for (Index k = 0; k < channels; ++k) {
      const bool live = counted[static_cast<std::size_t>(n)];
      ASSERT_EQ(inference(n / length, n % length, k) != 0, live);
      ASSERT_EQ(y(n / length, n % length, k) != 0, live);
      ASSERT_EQ(dx(n / length, n % length, k) != 0, live);
    }
  }
}

}  // namespace

TEST(BatchNorm, with_lengths_leaves_padding_out) {
  support::Generator random(211);
  expect_lengths(3, 7, {7, 2, 4}, random);
  expect_lengths(4, 5, {0, 5, 0, 1}, random);
  expect_lengths(7, 9001, {9001, 0, 1, 8000, 0, 3, 9000}, random);
}

TEST(BatchNorm, with_all_lengths_is_as_without_and_with_none_does_nothing) {
  support::Generator random(212);
  const Case<float> c(3 * 7, 5, Distribution::normal, random);
  ef::Context context;
  ef::BatchNorm<float> norm = norm_of(c);
  ef::BatchNorm<float> other = norm;
  const Step<float> expected(norm, c.x, c.dy, context);
  const ef::ConstTensorView<float, 3> x(c.x.data(), 3, 7, 5);
  ef::Tensor<float, 3> y(3, 7, 5);
  ef::BatchNorm<float>::Cache cache;
  const std::vector<Index> all = {7, 7, 7};
  other.forward(x, y, all, context, &cache);
  EXPECT_TRUE(support::bit_equal(y, expected.y));
  other.update_statistics(cache);
  EXPECT_TRUE(support::bit_equal(other.running_var.value, norm.running_var.value));

  const std::vector<Index> none = {0, 0, 0};
  y.setConstant(9);
  other.forward(x, y, none, context, &cache);
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], 0);
  y.setConstant(9);
  other.backward(c.dy, cache, y, context);
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], 0);
  EXPECT_EQ(other.num_batches_tracked.value(), 1);
  const ef::Matrix<float> empty(0, 5);
  ef::Matrix<float> out(0, 5);
  other.forward(empty, out, context, &cache);
  other.backward(empty, cache, out, context);
  EXPECT_EQ(other.num_batches_tracked.value(), 1);
}

TEST(BatchNorm, rejects_lengths_that_do_not_fit) {
  const ef::BatchNorm<float> norm({.dim = 5});
  ef::BatchNorm<float>::Cache cache;
  ef::Context context;
  const ef::Tensor<float, 3> x = ef::Tensor<float, 3>(2, 3, 5).setConstant(1);
  ef::Tensor<float, 3> y = ef::Tensor<float, 3>(2, 3, 5).setConstant(7);
  EXPECT_THROW(norm.forward(x, y, std::vector<Index>{3}, context), ef::ShapeError);
  EXPECT_THROW(norm.forward(x, y, std::vector<Index>{3, 4}, context), ef::ValueError);
  EXPECT_THROW(norm.forward(x, y, std::vector<Index>{3, -1}, context), ef::ValueError);
  EXPECT_THROW(norm.forward(x, y, std::vector<Index>{0, 1}, context, &cache), ef::ValueError);  // one value
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], 7);
}

TEST(BatchNorm, trains_with_the_same_bits_for_any_stride_alignment_and_number_of_threads) {
  support::Generator random(213);
  for (const std::pair<Index, Index>& shape :
       {std::pair<Index, Index>{331, 127}, {5003, 67}}) {  // all rows at once, and in parts
    const Index rows = shape.first, features = shape.second;
    const Case<float> c(rows, features, Distribution::normal, random);
    ef::BatchNorm<float> expected_norm = norm_of(c);
    ef::Context one;
    const Step<float> expected(expected_norm, c.x, c.dy, one);
    for (const int threads : {1, 2, 3}) {
      ef::Context context({.threads = threads});
      for (std::ptrdiff_t offset = 0; offset<support::alignment_offsets; offset += rows> 1000 ? 5 : 1) {
        support::GuardedRows<float> memory(rows, features, features + offset % 5, offset);
        const auto put = [&](const ef::Matrix<float>& m) {
          for (Index n = 0; n < rows; ++n) std::copy_n(&m(n, 0), features, &memory(n, 0));
        };
        ef::RowsView<float> view(memory.data(), rows, features, memory.row_stride());
        ef::BatchNorm<float> norm = norm_of(c);
        ef::BatchNorm<float>::Cache cache;
        put(c.x);
        norm.forward(view, view, context, &cache);  // in place
        ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(view), expected.y))
            << threads << " threads, offset " << offset;
        put(c.dy);
        norm.backward(view, cache, view, context);
        ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(view), expected.dx));
        ASSERT_TRUE(support::bit_equal(norm.weight->gradient, expected_norm.weight->gradient));
        ASSERT_TRUE(support::bit_equal(norm.bias->gradient, expected_norm.bias->gradient));
        ASSERT_TRUE(support::bit_equal(norm.running_mean.value, expected_norm.running_mean.value));
        ASSERT_TRUE(support::bit_equal(norm.running_var.value, expected_norm.running_var.value));
        ASSERT_TRUE(memory.untouched_outside());
      }
    }
  }
}

TEST(BatchNorm, allocates_nothing_in_training_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  support::Generator random(214);
  for (const auto& [rows, features] : {std::pair<Index, Index>{331, 127}, {5003, 67}}) {
    const Case<float> c(rows, features, Distribution::normal, random);
    for (const int threads : {1, 2}) {
      ef::Context context({.threads = threads});
      ef::BatchNorm<float> norm = norm_of(c);
      ef::BatchNorm<float>::Cache cache;
      ef::Matrix<float> y(rows, features);
      const auto step = [&] {
        norm.forward(c.x, y, context);
        norm.forward(c.x, y, context, &cache);
        norm.backward(c.dy, cache, y, context);
      };
      step();
      EXPECT_EQ(support::allocations_during(step), 0);
    }
  }
}

TEST(BatchNorm, has_pytorchs_names_and_only_weight_and_bias_are_trained) {
  ef::BatchNorm<float> norm({.dim = 5});
  std::string names, learnable;
  norm.visit_parameters(
      [&](const ef::Name& name, const auto& p) { names += name.str() + p.shape().to_string() + " "; });
  EXPECT_EQ(names, "weight[5] bias[5] running_mean[5] running_var[5] num_batches_tracked[] ");
  ef::visit_learnable(norm, [&](const ef::Name& name, const auto&) { learnable += name.str() + " "; });
  EXPECT_EQ(learnable, "weight bias ");
  EXPECT_EQ(ef::parameter_count(norm), 10);
  EXPECT_EQ(ef::parameter_count(ef::BatchNorm<float>({.dim = 5, .affine = false})), 0);
}

TEST(BatchNorm, without_weight_and_bias_is_that_of_ones_and_zeros) {
  support::Generator random(215);
  const Case<float> c(13, 7, Distribution::normal, random);
  ef::Context context;
  ef::BatchNorm<float> plain({.dim = 7, .affine = false});
  ef::BatchNorm<float> affine({.dim = 7});
  const Step<float> step(plain, c.x, c.dy, context);
  const Step<float> expected(affine, c.x, c.dy, context);
  EXPECT_TRUE(support::bit_equal(step.y, expected.y) && support::bit_equal(step.dx, expected.dx));
  EXPECT_TRUE(support::bit_equal(plain(c.x), affine(c.x)));
}

TEST(BatchNorm, is_saved_and_loaded_with_its_statistics) {
  support::Generator random(216);
  const Case<float> c(13, 7, Distribution::normal, random);
  ef::Context context;
  ef::BatchNorm<float> norm = norm_of(c);
  for (int i = 0; i < 3; ++i) Step<float>(norm, c.x, c.dy, context);
  const auto path = std::filesystem::temp_directory_path() / "eigenformer_batch_norm.safetensors";
  ef::save_safetensors(path, norm);
  ef::BatchNorm<float> loaded({.dim = 7});
  ef::load_safetensors(path, loaded);
  EXPECT_TRUE(ef::SafetensorsFile(path).contains("num_batches_tracked"));
  std::filesystem::remove(path);
  EXPECT_EQ(loaded.num_batches_tracked.value(), 3);
  EXPECT_TRUE(support::bit_equal(loaded(c.x), norm(c.x)));
}

TEST(BatchNorm, takes_any_rank_and_rejects_bad_shapes_and_options) {
  EXPECT_THROW(ef::BatchNorm<float>({.dim = 0}), ef::OptionError);
  EXPECT_THROW(ef::BatchNorm<float>({.dim = 5, .epsilon = -1e-5}), ef::OptionError);
  EXPECT_THROW(ef::BatchNorm<float>({.dim = 5, .statistics = ef::MovingAverage{.momentum = 1.5}}), ef::OptionError);
  EXPECT_THROW(ef::BatchNorm<float>({.dim = 5, .statistics = ef::MovingAverage{.momentum = -0.1}}), ef::OptionError);
  ef::BatchNorm<float> norm({.dim = 5});
  const ef::Tensor<float, 4> four = norm(ef::Tensor<float, 4>(2, 3, 4, 5).setConstant(1));
  EXPECT_EQ(four.dimension(2), 4);
  ef::BatchNorm<float>::Cache cache;
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Ones(3, 5);
  ef::Matrix<float> wide_y = ef::Matrix<float>::Constant(3, 6, 7);
  ef::Matrix<float> tall = ef::Matrix<float>::Constant(4, 5, 7);
  ef::Matrix<float> y(3, 5);
  EXPECT_THROW(norm.forward(wide_y, y, context), ef::ShapeError);
  EXPECT_THROW(norm.forward(x, tall, context), ef::ShapeError);
  EXPECT_THROW(norm.backward(x, cache, y, context), ef::ShapeError);
  norm.forward(x, y, context, &cache);
  EXPECT_THROW(norm.backward(tall, cache, tall, context), ef::ShapeError);
  EXPECT_EQ(norm.weight->gradient.size(), 0);
  EXPECT_TRUE((wide_y.array() == 7).all() && (tall.array() == 7).all());
}
