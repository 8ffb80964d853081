#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/batch_norm.hpp>
#include <eigenformer/norm/group_norm.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>
#include <eigenformer/norm/scale_norm.hpp>

#include <cmath>
#include <vector>

// What a norm does to each feature alone, y = z gain + shift, is part of the linear map before or after it. fold puts it
// there, for inference that is faster and gives the same numbers, but for rounding. All is computed in double.

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// y = z gain + shift for each feature; an empty shift is zero.
struct FeatureMap {
  std::vector<double> gain;
  std::vector<double> shift;
};
template <class T>
std::vector<double> in_double(std::span<const T> values) {
  return {values.begin(), values.end()};
}

/// The linear map of z that `next` is of y = z gain + shift.
template <class T>
void fold_before(const FeatureMap& map, Linear<T>& next) {
  Vector<T> bias = next.bias ? next.bias->value : Vector<T>(Vector<T>::Zero(next.output_features()));
  for (Index out = 0; out < next.output_features(); ++out) {
    double sum = static_cast<double>(bias[out]);
    for (Index in = 0; in < next.input_features(); ++in) {
      const double weight = static_cast<double>(next.weight.value(out, in));
      if (!map.shift.empty()) sum += weight * map.shift[static_cast<std::size_t>(in)];
      next.weight.value(out, in) = static_cast<T>(weight * map.gain[static_cast<std::size_t>(in)]);
    }
    bias[out] = static_cast<T>(sum);
  }
  if (map.shift.empty()) return;
  if (!next.bias) next.bias.emplace();
  next.bias->value = std::move(bias);
}

template <class Norm, class... Next>
void require_fit(const Norm& norm, const Next&... next) {
  const auto check = [&](const auto& linear) {
    require(linear.input_features() == norm.input_features(), "fold", "expected a Linear of ", norm.input_features(),
            " in_features, got a weight of shape ", linear.weight.shape());
  };
  (check(next), ...);
}

template <class T>
FeatureMap map_of(const BatchNorm<T>& norm) {
  norm.check_statistics();
  FeatureMap map;
  for (Index c = 0; c < norm.input_features(); ++c) {
    const double gain = (norm.weight ? static_cast<double>(norm.weight->value[c]) : 1) /
                        std::sqrt(static_cast<double>(norm.running_var.value[c]) + norm.epsilon);
    map.gain.push_back(gain);
    map.shift.push_back((norm.bias ? static_cast<double>(norm.bias->value[c]) : 0) -
                        static_cast<double>(norm.running_mean.value[c]) * gain);
  }
  return map;
}

template <class B, class T>
concept LinearOf = std::same_as<B, Linear<T>>;

}  // namespace detail

/// Moves the gain and bias of a norm into the projections that read it, all of them, as query, key and value: afterwards
/// next(norm(x)) is what it was, and the norm has a gain of 1 and a bias of 0.
///   throws ShapeError if the widths differ, and changes nothing
template <class T, detail::LinearOf<T>... Next>
void fold(LayerNorm<T>& norm, Next&... next) {
  detail::require_fit(norm, next...);
  detail::FeatureMap map = {detail::in_double(std::as_const(norm.weight).values()), {}};
  if (norm.bias) map.shift = detail::in_double(std::as_const(*norm.bias).values());
  (detail::fold_before(map, next), ...);
  norm.weight.value.setOnes();
  if (norm.bias) norm.bias->value.setZero();
}
/// The same for GroupNorm, whose weight and bias are those of channels.
template <class T, detail::LinearOf<T>... Next>
void fold(GroupNorm<T>& norm, Next&... next) {
  detail::require_fit(norm, next...);
  if (!norm.weight) return;
  const detail::FeatureMap map = {detail::in_double(std::as_const(*norm.weight).values()),
                                  detail::in_double(std::as_const(*norm.bias).values())};
  (detail::fold_before(map, next), ...);
  norm.weight->value.setOnes();
  norm.bias->value.setZero();
}
/// The same for RmsNorm, which has no bias.
template <class T, class Gain, detail::LinearOf<T>... Next>
void fold(RmsNorm<T, Gain>& norm, Next&... next) {
  detail::require_fit(norm, next...);
  ScratchArena arena;
  ScratchScope scope(arena);
  const std::span<const T> gains = Gain::template gains<T>(std::as_const(norm.weight).values(), scope);
  const detail::FeatureMap map = {detail::in_double(gains), {}};
  (detail::fold_before(map, next), ...);
  norm.weight.value.setConstant(T(Gain::start));
}
/// The same for ScaleNorm, whose g becomes 1.
template <class T, detail::LinearOf<T>... Next>
void fold(ScaleNorm<T>& norm, Next&... next) {
  detail::require_fit(norm, next...);
  const detail::FeatureMap map = {
      std::vector<double>(static_cast<std::size_t>(norm.dim), static_cast<double>(norm.g.value[0])), {}};
  (detail::fold_before(map, next), ...);
  norm.g.value[0] = T(1);
}

/// next(norm(x)) of inference as one Linear.
///   throws ShapeError if the widths differ, ValueError for running statistics that no deviation comes from
template <class T>
Linear<T> fold(const BatchNorm<T>& norm, const Linear<T>& next) {
  detail::require_fit(norm, next);
  Linear<T> folded = next;
  detail::fold_before(detail::map_of(norm), folded);
  return folded;
}
/// norm(previous(x)) of inference as one Linear. Errors as above.
template <class T>
Linear<T> fold(const Linear<T>& previous, const BatchNorm<T>& norm) {
  require(previous.output_features() == norm.input_features(), "fold", "expected a Linear of ", norm.input_features(),
          " out_features, got a weight of shape ", previous.weight.shape());
  const detail::FeatureMap map = detail::map_of(norm);
  Linear<T> folded = previous;
  if (!folded.bias) folded.bias.emplace(Vector<T>(Vector<T>::Zero(norm.input_features())));
  for (Index out = 0; out < norm.input_features(); ++out) {
    const double gain = map.gain[static_cast<std::size_t>(out)];
    T& bias = folded.bias->value[out];
    bias = static_cast<T>(static_cast<double>(bias) * gain + map.shift[static_cast<std::size_t>(out)]);
    for (Index in = 0; in < folded.input_features(); ++in) {
      T& weight = folded.weight.value(out, in);
      weight = static_cast<T>(static_cast<double>(weight) * gain);
    }
  }
  return folded;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
