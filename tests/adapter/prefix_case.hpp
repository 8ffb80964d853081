#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/prefix.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>

#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <string>

namespace prefix_test {

namespace ef = eigenformer;
using ef::Index;

template <class T>
ef::Tensor<T, 3> normal(Index batch, Index length, Index dim, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<T, 3> x(batch, length, dim);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

/// A golden case of attention behind prefixes, [B, H, L, D] there: the module's projections only pick queries, keys and values
/// out of x, where they lie side by side, and put the result into the first features of y.
struct GoldenLayer {
  using Attention = ef::Prefixed<ef::MultiHeadAttention<double>>;

  GoldenLayer(const support::Golden& golden, Index number)
      : heads(golden.parameter<std::int64_t>("heads")),
        head_dim(golden.parameter<std::int64_t>("head_dim")),
        attention({.dim = 3 * heads * head_dim, .heads = heads, .head_dim = head_dim, .bias = false}, ef::Random(1)) {
    const std::string n = std::to_string(number);
    const Index width = heads * head_dim;
    for (ef::Linear<double>* part : {&attention.query, &attention.key, &attention.value, &attention.output}) {
      part->weight.value.setZero();
    }
    for (Index i = 0; i < width; ++i) {
      attention.query.weight.value(i, i) = attention.key.weight.value(i, width + i) = 1;
      attention.value.weight.value(i, 2 * width + i) = attention.output.weight.value(i, i) = 1;
    }
    attention.prefix = attention.own_prefix(golden.parameter<std::int64_t>("num_virtual_tokens"), ef::Random(2));
    x = side_by_side(golden, {"q" + n, "k" + n, "v" + n});
    y = side_by_side(golden, {"y" + n});
    dy = side_by_side(golden, {"d_y" + n});
    dx = side_by_side(golden, {"grad.q" + n, "grad.k" + n, "grad.v" + n});
  }

  /// Forward and backward: y and dx are those of the golden case.
  void expect_golden() {
    ef::Context context;
    Attention::Cache cache;
    ef::Tensor<double, 3> actual(x.dimensions()), actual_dx(x.dimensions());
    attention.forward(x, actual, ef::Causal{}, context, &cache);
    EXPECT_TRUE(support::within(support::max_error(actual, y), support::tolerance::pytorch_abs<double>));
    attention.backward(dy, cache, actual_dx, context);
    const double limit = support::tolerance::pytorch_rel<float>;  // gradients are stored in float32
    EXPECT_TRUE(support::within(support::mixed_error(actual_dx, dx, limit, limit), 1));
  }

  Index heads, head_dim;
  Attention attention;
  ef::Tensor<double, 3> x, y, dy, dx;

 private:
  ef::Tensor<double, 3> side_by_side(const support::Golden& golden, const std::vector<std::string>& names) const {
    ef::Tensor<double, 3> result;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto part = golden.tensor<double, 4>(names[i]);
      const Index batch = part.dimension(0), length = part.dimension(2);
      if (i == 0) result = ef::Tensor<double, 3>(batch, length, 3 * heads * head_dim).setZero();
      for (Index b = 0; b < batch; ++b) {
        for (Index h = 0; h < heads; ++h) {
          for (Index l = 0; l < length; ++l) {
            for (Index d = 0; d < head_dim; ++d) {
              result(b, l, static_cast<Index>(i) * heads * head_dim + h * head_dim + d) = part(b, h, l, d);
            }
          }
        }
      }
    }
    return result;
  }
};

}  // namespace prefix_test
