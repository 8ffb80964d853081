// SPDX-License-Identifier: MIT

#include <eigenformer/norm/rms_norm.hpp>

#include <norm/plain_norm.hpp>

namespace {

using namespace bench;

struct PlainRmsNorm {
  template <class Row>
  static auto inverse_root(const Row& x) {
    using Scalar = typename Row::Scalar;
    return 1 / std::sqrt(x.squaredNorm() / static_cast<Scalar>(x.size()) + Scalar(1e-6));
  }

  static void forward(const auto& x, const auto& weight, auto&& y) { y = x.array() * inverse_root(x) * weight.array(); }

  static void backward(const auto& x, const auto& dy, const auto& weight, auto&& dx, auto& dweight) {
    using Row = std::remove_cvref_t<decltype(dweight)>;
    const auto inverse = inverse_root(x);
    const Row z = x * inverse;
    const Row g = dy.array() * weight.array();
    dweight.array() += dy.array() * z.array();
    const auto mean_gz = g.dot(z) / static_cast<typename Row::Scalar>(z.size());
    dx = inverse * (g - z * mean_gz);
  }
};

const bool planned = (plan_norm<ef::RmsNorm<float>, PlainRmsNorm>("RMSNorm"), true);

}  // namespace
