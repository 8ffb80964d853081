#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora.hpp>

#include <string>

#include "reference/lora.hpp"
#include "support/inputs.hpp"

/// A Linear of 7 to 5 features with adapters of random numbers, and their meaning in double.
namespace lora_case {

namespace ef = eigenformer;
using ef::Index;

template <class T>
ef::Matrix<T> normal(Index rows, Index columns, support::Generator& random, double scale = 1) {
  ef::Matrix<T> matrix(rows, columns);
  for (Index i = 0; i < matrix.size(); ++i) matrix.data()[i] = static_cast<T>(scale * random.normal());
  return matrix;
}
template <class M>
reference::Array<double> wide(const M& matrix) {
  return reference::widened<double>(matrix.data(), {matrix.rows(), matrix.cols()});
}
template <class T>
reference::Array<double> wide_vector(const ef::Vector<T>& vector) {
  return reference::widened<double>(vector.data(), {vector.size()});
}

/// An adapter whose B is not zero.
template <class Layer>
void add(Layer& layer, const std::string& name, const ef::LoraOptions& options, support::Generator& random) {
  layer.add(name, options, ef::Random(random.bits()));
  auto& adapter = layer.adapter(name);
  for (auto& value : adapter.b.values()) value = static_cast<typename Layer::Scalar>(0.3 * random.normal());
  if (!adapter.magnitude) return;
  for (auto& value : adapter.magnitude->values()) value *= static_cast<typename Layer::Scalar>(random.uniform(0.5, 2));
}

/// base + weight (adapted - base), in double.
template <class T>
reference::Array<double> adapted(const ef::Matrix<T>& base, const ef::LoraAdapter<T>& adapter, double weight = 1) {
  const reference::Array<double> original = wide(base);
  const reference::Array<double> changed =
      adapter.magnitude
          ? reference::dora_weight(original, wide(adapter.a.value), wide(adapter.b.value), adapter.scale(),
                                   wide_vector(adapter.magnitude->value))
          : reference::lora_weight(original, wide(adapter.a.value), wide(adapter.b.value), adapter.scale());
  reference::Array<double> result = original;
  for (long i = 0; i < result.size(); ++i) result.data()[i] += weight * (changed.data()[i] - original.data()[i]);
  return result;
}

/// Adds the sizes of all products that make up weight (adapted - base), which rounding errors are proportional to.
template <class T>
void add_sizes(reference::Array<double>& sizes, const ef::Matrix<T>& base, const ef::LoraAdapter<T>& adapter,
               double weight) {
  const auto absolute = [](reference::Array<double> numbers) {
    for (double& number : numbers.values) number = std::abs(number);
    return numbers;
  };
  const reference::Array<double> original = absolute(wide(base));
  const reference::Array<double> none(original.shape);
  const auto products = reference::lora_weight(adapter.magnitude ? original : none, absolute(wide(adapter.a.value)),
                                               absolute(wide(adapter.b.value)), adapter.scale());
  const auto norms = reference::row_norms(
      reference::lora_weight(wide(base), wide(adapter.a.value), wide(adapter.b.value), adapter.scale()));
  for (Index o = 0; o < base.rows(); ++o) {
    const double factor = adapter.magnitude ? static_cast<double>(adapter.magnitude->value[o]) / norms(o) : 1;
    for (Index i = 0; i < base.cols(); ++i) {
      sizes(o, i) += std::abs(weight) * (factor * products(o, i) + (adapter.magnitude ? original(o, i) : 0));
    }
  }
}

}  // namespace lora_case
