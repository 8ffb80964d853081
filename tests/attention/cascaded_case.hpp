#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/cascaded_group_attention.hpp>

#include <gtest/gtest.h>

#include <string>

#include "convolution/images_case.hpp"
#include "reference/cascaded_group_attention.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

// What the tests of cascaded group attention and of what is made of it share.
namespace cascaded_case {

namespace ef = eigenformer;
using ef::Index;

/// Weights, gains, biases and running statistics that hide no mistake.
template <class Block>
void randomise(Block& block, support::Generator& random) {
  block.visit_parameters([&]<class P>(const ef::Name& name, P& parameter) {
    using Value = typename P::Scalar;
    const std::string text = name.str();
    for (Value& value : parameter.values()) {
      if (text.ends_with("running_var")) {
        value = static_cast<Value>(random.uniform(0.5, 2));
      } else if (text.ends_with("bn.weight")) {
        value = static_cast<Value>(random.uniform(0.7, 1.4));
      } else if (!text.ends_with("c.weight") && !text.ends_with("tracked")) {
        value = static_cast<Value>(0.5 * random.normal());
      }
    }
  });
}

template <class T>
reference::Array<double> wide(const T& values, std::vector<long> shape) {
  return reference::widened(values.data(), std::move(shape));
}
/// The layer, its convolution's weight under the shape that PyTorch gives it.
template <class T, class Inner>
reference::ConvolutionNorm<double> wide(const ef::Normed<Inner>& layer) {
  const auto& weight = layer.projection.weight;
  std::vector<long> shape = {weight.shape()[0], weight.shape()[1], 1, 1};
  if (weight.shape().rank() == 4) shape[2] = shape[3] = weight.shape()[2];
  const std::vector<long> channels = {weight.shape()[0]};
  return {wide(weight.values(), shape), wide(layer.norm.weight->values(), channels),
          wide(layer.norm.bias->values(), channels), wide(layer.norm.running_mean.values(), channels),
          wide(layer.norm.running_var.values(), channels)};
}
template <class T>
reference::CascadedGroupAttention<double> wide(const ef::CascadedGroupAttention<T>& block) {
  reference::CascadedGroupAttention<double> result;
  for (const auto& layer : block.projections) result.qkvs.push_back(wide<T>(layer));
  for (const auto& layer : block.interactions) result.dws.push_back(wide<T>(layer));
  result.proj = wide<T>(block.output);
  result.biases = wide(block.biases.values(), {block.biases.value.rows(), block.biases.value.cols()});
  return result;
}

/// Fills all parameters from the stored tensors of their names.
template <class Block>
void fill(Block& block, const support::Golden& golden) {
  int filled = 0;
  block.visit_parameters([&]<class P>(const ef::Name& name, P& parameter) {
    if (name.str().ends_with("num_batches_tracked")) return;
    const auto values = golden.values<typename P::Scalar>(name.str());
    ASSERT_EQ(values.size(), parameter.values().size()) << name.str();
    std::copy(values.begin(), values.end(), parameter.values().begin());
    ++filled;
  });
  EXPECT_GT(filled, 10);
}

/// What must hold of gradients that are stored rounded to float.
inline constexpr double rounded_nmse = 1e-12;

/// Forward and backward in double against what the published code gave. A gradient that it does not have is passed by.
template <class Block>
void expect_golden(Block& block, const support::Golden& golden, ef::Context& context) {
  using images_case::stored_images;
  fill(block, golden);
  const auto x = stored_images<double>(golden, "x"), expected = stored_images<double>(golden, "y");
  ef::Tensor<double, 4> y(expected.dimensions()), dx(x.dimensions());
  typename Block::Cache cache;
  block.forward(x, y, context, &cache);
  EXPECT_TRUE(support::within(support::max_error(y, expected), support::tolerance::pytorch_abs<double>));
  block.backward(stored_images<double>(golden, "d_y"), cache, dx, context);
  const auto dx_expected = stored_images<double>(golden, "grad.x");
  EXPECT_TRUE(support::within(support::worst_row_nmse(dx, dx_expected, dx.size()), rounded_nmse));
  int compared = 0;
  ef::visit_learnable(block, [&](const ef::Name& name, const auto& parameter) {
    const std::string gradient = "grad." + name.str();
    if (!golden.contains(gradient)) {
      EXPECT_TRUE(name.str().ends_with("attention_biases")) << gradient;
      return;
    }
    const auto values = golden.values<double>(gradient);
    EXPECT_TRUE(support::within(support::worst_row_nmse(parameter.gradients(), values, parameter.size()), rounded_nmse))
        << gradient;
    ++compared;
  });
  EXPECT_GT(compared, 10);
}

}  // namespace cascaded_case
