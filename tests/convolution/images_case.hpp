#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>

#include "reference/array.hpp"
#include "reference/convolution.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"

// What the tests of blocks over images share.
namespace images_case {

namespace ef = eigenformer;
using ef::Index;

template <class T>
ef::Tensor<T, 4> random_images(const ef::Shape& shape, support::Generator& random, double deviation = 1) {
  ef::Tensor<T, 4> result(shape[0], shape[1], shape[2], shape[3]);
  const auto numbers = support::normal<T>(result.size(), random, deviation);
  std::copy(numbers.begin(), numbers.end(), result.data());
  return result;
}

template <class T, int Rank>
reference::Array<double> wide(const ef::Tensor<T, Rank>& x) {
  return reference::widened(x.data(), {x.dimensions().begin(), x.dimensions().end()});
}
template <class T>
reference::Array<double> wide(const ef::Vector<T>& x) {
  return reference::widened(x.data(), {x.size()});
}

/// A stored image [B, C, H, W], channels last.
template <class T>
ef::Tensor<T, 4> stored_images(const support::Golden& golden, std::string_view name) {
  const ef::Tensor<T, 4> from = golden.tensor<T, 4>(name);
  const Eigen::array<int, 4> order = {0, 2, 3, 1};
  return from.shuffle(order);
}

}  // namespace images_case
