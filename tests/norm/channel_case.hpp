#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>

#include <vector>

#include "norm/norm_case.hpp"
#include "reference/channel_norm.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

// What the tests of BatchNorm and GroupNorm share.
namespace channel_case {

namespace ef = eigenformer;
using ef::Index;

/// [batch, channels, positions...] as PyTorch has it -> rows [batch positions, channels].
template <class T>
ef::Matrix<T> channels_last(const std::vector<T>& from, Index batch, Index channels, Index positions) {
  ef::Matrix<T> result(batch * positions, channels);
  for (Index b = 0; b < batch; ++b) {
    for (Index c = 0; c < channels; ++c) {
      for (Index p = 0; p < positions; ++p) {
        result(b * positions + p, c) = from[static_cast<std::size_t>((b * channels + c) * positions + p)];
      }
    }
  }
  return result;
}

/// x [items rows, C] widened as [items, rows, C], with the first number of each group of each item taken from the group:
/// the norm does not see the difference, but the plain reference loses fewer digits to a large mean.
template <class T>
reference::Array<long double> wide_from_first(const ef::Matrix<T>& x, Index items, Index groups) {
  const Index rows = x.rows() / items;
  const Index width = x.cols() / groups;
  reference::Array<long double> result({items, rows, x.cols()});
  for (Index n = 0; n < x.rows(); ++n) {
    for (Index c = 0; c < x.cols(); ++c) {
      const long double first = static_cast<long double>(x(n / rows * rows, c / width * width));
      result(n / rows, n % rows, c) = static_cast<long double>(x(n, c)) - first;
    }
  }
  return result;
}

template <class M>
reference::Array<long double> as_items(const M& m, Index items) {
  return norm_case::wide(m).reshaped({items, m.rows() / items, m.cols()});
}

/// dx is a difference of terms of the size weight dy / deviation, and may be nothing beside them.
template <class T>
void expect_dx(const ef::Matrix<T>& dx, const reference::Array<long double>& exact, const ef::Vector<T>& weight,
               const ef::Matrix<T>& dy, const reference::Array<long double>& variance, long double epsilon,
               const std::string& where) {
  const Index items = exact.dimension(0), rows = exact.dimension(1), groups = variance.dimension(1);
  for (Index b = 0; b < items; ++b) {
    for (Index c = 0; c < dx.cols(); ++c) {
      const long double deviation = std::sqrt(variance(b, c / (dx.cols() / groups)) + epsilon);
      const long double size = static_cast<long double>(weight.cwiseAbs().maxCoeff()) *
                               static_cast<long double>(dy.cwiseAbs().maxCoeff()) / deviation;
      if (size > static_cast<long double>((std::numeric_limits<T>::max)())) continue;  // as the gradient itself
      for (Index n = 0; n < rows; ++n) {
        const long double error = std::abs(static_cast<long double>(dx(b * rows + n, c)) - exact(b, n, c));
        ASSERT_LE(static_cast<double>(error / (size + 1e-300L)), 64 * support::tolerance::epsilon<T>)
            << where << " item " << b << " row " << n << " channel " << c;
      }
    }
  }
}

}  // namespace channel_case
