#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>

#include <optional>
#include <vector>

#include "reference/norm.hpp"
#include "support/inputs.hpp"

// Inputs of a norm and what the reference makes of them, in long double, which judges double too.
namespace norm_case {

namespace ef = eigenformer;
using ef::Index;

template <class T>
struct Case {
  ef::Matrix<T> x;
  ef::Vector<T> weight;
  ef::Vector<T> bias;
  ef::Matrix<T> dy;

  Case(Index rows, Index features, support::Distribution distribution, support::Generator& random)
      : x(rows, features), weight(features), bias(features), dy(rows, features) {
    support::fill(x, distribution, random);
    support::fill(weight, support::Distribution::normal, random);
    support::fill(bias, support::Distribution::normal, random);
    support::fill(dy, support::Distribution::normal, random);
  }
  double largest_gain() const { return static_cast<double>(weight.cwiseAbs().maxCoeff()); }
};

template <class M>
reference::Array<long double> wide(const M& m) {
  if constexpr (M::IsVectorAtCompileTime) {
    return reference::widened<long double>(m.data(), {m.size()});
  } else {
    return reference::widened<long double>(m.data(), {m.rows(), m.cols()});
  }
}

/// x with the first number of each row taken from that row, exactly: LayerNorm does not see the difference, but the
/// plain reference loses fewer digits to a large mean.
template <class T>
reference::Array<long double> wide_from_first(const ef::Matrix<T>& x) {
  reference::Array<long double> result = wide(x);
  for (Index n = 0; n < x.rows(); ++n) {
    for (Index j = 0; j < x.cols(); ++j) result.data()[n * x.cols() + j] -= static_cast<long double>(x(n, 0));
  }
  return result;
}

inline constexpr Index widths[] = {1, 2, 3, 7, 16, 31, 61, 127, 257, 769, 4099};

}  // namespace norm_case
