// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/depthwise.hpp>

#include <gtest/gtest.h>

#include "reference/convolution.hpp"
#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace {

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
namespace tolerance = support::tolerance;
using ef::Index;

template <class T>
class DepthwiseKernel : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(DepthwiseKernel, Scalars);

/// One image, whose pixels lie `gap` further apart than their channels need, and a strip of its result.
template <class T>
struct Case {
  ef::InstructionSet set;
  Index height, width, kernel, stride, channels, gap = 3;
  Index first = 0, rows = 0;

  Index lanes() const { return kernels::depthwise_lanes<T>(set); }
  kernels::DepthwiseStrip strip() const { return {first, rows, (width - 1) / stride + 1, kernel, stride, channels}; }
  reference::Convolution how() const { return {stride, kernel / 2, channels}; }
};

/// Calls body(case, random) for kernels, strides and channels of all kinds, the strip being the second half of the rows.
template <class T, class Body>
void for_cases(const Body& body) {
  support::Generator random(41);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (const Index kernel : {1, 3, 5, 7, 9, 11}) {
      for (const Index stride : {1, 2}) {
        for (const Index width : {1, 2, 3, 4, 5, 7, 8, 9, 13}) {
          Case<T> c = {set, width % 5 + 1, width, kernel, stride, 0};
          c.channels = random.integer(c.lanes()) + 1;
          const Index whole = (c.height - 1) / stride + 1;
          c.first = whole / 2;
          c.rows = whole - c.first;
          body(c, random);
          ++cases;
        }
      }
    }
  }
  EXPECT_GE(cases, 108);
}

/// [height, width, channels] with `gap` between pixels, and the numbers without gaps.
template <class T>
struct Pixels {
  std::vector<T> numbers;
  support::GuardedRows<T> rows;
  Pixels(Index count, Index channels, Index gap, support::Generator& random)
      : numbers(support::normal<T>(count * channels, random)), rows(count, channels, channels + gap) {
    for (Index n = 0; n < count; ++n) std::copy_n(numbers.data() + n * channels, channels, &rows(n, 0));
  }
};

/// [channels, 1, k, k] as vectors [k, k, lanes], poison beyond the channels.
template <class T>
std::vector<T> vectors(const std::vector<T>& weight, const Case<T>& c) {
  const Index places = c.kernel * c.kernel;
  std::vector<T> result(static_cast<std::size_t>(places * c.lanes()), support::poisons<T>()[0]);
  for (Index i = 0; i < places; ++i) {
    for (Index j = 0; j < c.channels; ++j)
      result[static_cast<std::size_t>(i * c.lanes() + j)] = weight[static_cast<std::size_t>(j * places + i)];
  }
  return result;
}

}  // namespace

TYPED_TEST(DepthwiseKernel, convolves_a_strip_and_writes_nothing_else) {
  using T = TypeParam;
  for_cases<T>([](const Case<T>& c, support::Generator& random) {
    const Pixels<T> x(c.height * c.width, c.channels, c.gap, random);
    const auto weight = support::normal<T>(c.channels * c.kernel * c.kernel, random);
    auto bias = support::normal<T>(c.lanes(), random);
    const kernels::DepthwiseStrip strip = c.strip();
    support::GuardedRows<T> y(c.rows * strip.columns, c.channels, c.channels + 5);
    support::GuardedBuffer<T> memory(kernels::depthwise_scratch<T>(strip, c.set), 1);
    const Index pixel = c.channels + c.gap;
    kernels::depthwise<T>({x.rows.data(), c.width * pixel, pixel, c.height, c.width}, strip, vectors(weight, c).data(),
                          bias.data(), {y.data(), strip.columns * y.row_stride(), y.row_stride()}, memory.data(),
                          c.set);
    const auto expected =
        reference::convolution(reference::widened(x.numbers.data(), {1, c.height, c.width, c.channels}),
                               reference::widened(weight.data(), {c.channels, 1, c.kernel, c.kernel}),
                               reference::widened(bias.data(), {c.channels}), c.how());
    for (Index n = 0; n < c.rows * strip.columns; ++n) {
      for (Index j = 0; j < c.channels; ++j) {
        const auto at = static_cast<std::size_t>((c.first * strip.columns + n) * c.channels + j);
        ASSERT_NEAR(static_cast<double>(y(n, j)), expected.value.values[at],
                    tolerance::gemm_c * tolerance::epsilon<T> * expected.magnitude.values[at])
            << ef::name(c.set) << " kernel " << c.kernel << " stride " << c.stride << " width " << c.width;
      }
    }
    EXPECT_TRUE(y.untouched_outside());
    EXPECT_TRUE(memory.untouched_outside());
  });
}

TYPED_TEST(DepthwiseKernel, moves_pixels_apart_and_leaves_the_bias_out) {
  using T = TypeParam;
  support::Generator random(42);
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    const Index channels = 2;  // fits every vector
    const Pixels<T> x(3 * 4, channels, 1, random);
    std::vector<T> apart(static_cast<std::size_t>(5 * 8 * channels));
    for (Index i = 0; i < 3; ++i) {
      for (Index j = 0; j < 4; ++j)
        std::copy_n(x.numbers.data() + (i * 4 + j) * channels, channels, apart.data() + (2 * i * 8 + 2 * j) * channels);
    }
    const Case<T> c = {set, 5, 8, 3, 1, channels, 1, 0, 5};
    const auto weight = support::normal<T>(channels * 9, random);
    std::vector<T> y(apart.size());
    std::vector<T> memory(static_cast<std::size_t>(kernels::depthwise_scratch<T>(c.strip(), set)));
    kernels::depthwise<T>({x.rows.data(), 4 * 3, 3, 3, 4, 2}, c.strip(), vectors(weight, c).data(), nullptr,
                          {y.data(), 8 * channels, channels}, memory.data(), set);
    const auto expected = reference::convolution(reference::widened(apart.data(), {1, 5, 8, channels}),
                                                 reference::widened(weight.data(), {channels, 1, 3, 3}), {}, c.how());
    EXPECT_TRUE(within(support::dot_product_error(y, expected.value, expected.magnitude), tolerance::gemm_c));
  }
}

TYPED_TEST(DepthwiseKernel, adds_to_the_gradient_of_its_weights) {
  using T = TypeParam;
  for_cases<T>([](const Case<T>& c, support::Generator& random) {
    const Pixels<T> x(c.height * c.width, c.channels, c.gap, random);
    const kernels::DepthwiseStrip strip = c.strip();
    const Pixels<T> dy(c.rows * strip.columns, c.channels, 2, random);
    std::vector<T> dweight(static_cast<std::size_t>(c.kernel * c.kernel * c.lanes()), T(3));
    support::GuardedBuffer<T> memory(kernels::depthwise_scratch<T>(strip, c.set), 1);
    const Index pixel = c.channels + c.gap;
    kernels::depthwise_backward_weight<T>({x.rows.data(), c.width * pixel, pixel, c.height, c.width}, strip,
                                          {dy.rows.data(), strip.columns * (c.channels + 2), c.channels + 2},
                                          dweight.data(), memory.data(), c.set);
    const Index whole = (c.height - 1) / c.stride + 1;
    reference::Array<double> all({1, whole, strip.columns, c.channels});
    std::copy(dy.numbers.begin(), dy.numbers.end(),
              all.values.begin() + static_cast<std::ptrdiff_t>(c.first * strip.columns * c.channels));
    const auto expected =
        reference::convolution_backward(reference::widened(x.numbers.data(), {1, c.height, c.width, c.channels}),
                                        reference::Array<double>({c.channels, 1, c.kernel, c.kernel}), c.how(), all);
    for (Index j = 0; j < c.channels; ++j) {
      for (Index i = 0; i < c.kernel * c.kernel; ++i) {
        const auto at = static_cast<std::size_t>(j * c.kernel * c.kernel + i);
        ASSERT_NEAR(static_cast<double>(dweight[static_cast<std::size_t>(i * c.lanes() + j)]),
                    3 + expected.dweight.values[at],
                    tolerance::gemm_c * tolerance::epsilon<T> * (3 + expected.dweight_magnitude.values[at]))
            << ef::name(c.set) << " kernel " << c.kernel << " stride " << c.stride << " width " << c.width;
      }
    }
    EXPECT_TRUE(memory.untouched_outside());
  });
}
