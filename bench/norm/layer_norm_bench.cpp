// SPDX-License-Identifier: MIT

#include <eigenformer/norm/layer_norm.hpp>

#include <norm/plain_norm.hpp>

namespace {

using namespace bench;

struct PlainLayerNorm {
  template <class Row>
  static auto inverse_deviation(const Row& x, typename Row::Scalar mean) {
    using Scalar = typename Row::Scalar;
    return 1 / std::sqrt((x.array() - mean).square().mean() + Scalar(1e-5));
  }

  static void forward(const auto& x, const auto& weight, auto&& y) {
    const auto mean = x.mean();
    y = (x.array() - mean) * inverse_deviation(x, mean) * weight.array();
  }

  static void backward(const auto& x, const auto& dy, const auto& weight, auto&& dx, auto& dweight) {
    using Row = std::remove_cvref_t<decltype(dweight)>;
    const auto mean = x.mean();
    const auto inverse = inverse_deviation(x, mean);
    const Row z = (x.array() - mean) * inverse;
    const Row g = dy.array() * weight.array();
    dweight.array() += dy.array() * z.array();
    const auto mean_g = g.mean();
    const auto mean_gz = g.dot(z) / static_cast<typename Row::Scalar>(z.size());
    dx = inverse * (g.array() - mean_g - z.array() * mean_gz);
  }
};

const bool planned = (plan_norm<ef::LayerNorm<float>, PlainLayerNorm>("LayerNorm"), true);

}  // namespace
