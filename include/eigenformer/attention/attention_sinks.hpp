#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/core/parameter.hpp>
#include <eigenformer/core/scratch.hpp>

#include <algorithm>
#include <optional>
#include <span>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Options of attention sinks that are learned: for each query head a number that takes part in its softmax as the score of
/// a key more whose value is 0, so that a head may attend to nothing (OpenAI 2025, "gpt-oss"; what Xiao et al. 2023,
/// "StreamingLLM", found heads to use the first token for).
///   p_t = exp(score_t) / (exp(sink) + sum_u exp(score_u))
/// @code
/// ef::GroupedQueryAttention<float> attention(
///     {.dim = 64, .heads = 4, .kv_heads = 2, .sinks = ef::LearnedSinks{}}, ef::Random(42));
/// attention.sinks->value[0] = 2;  // of the first query head
/// @endcode
struct LearnedSinks {
  double start = 0;  ///< of every head; -infinity is as if there were none
};

namespace detail {

/// Parameters of `heads` numbers if the options say so.
template <class T>
std::optional<Parameter<T>> make_sinks(const std::optional<LearnedSinks>& options, Index heads) {
  if (!options) return std::nullopt;
  return Parameter<T>(Vector<T>::Constant(heads, static_cast<T>(options->start)));
}

/// The sinks as attention reads them; none where there are none.
template <class T>
std::span<const T> sink_values(const std::optional<Parameter<T>>& sinks) {
  return sinks ? std::span<const T>(sinks->value.data(), static_cast<std::size_t>(sinks->size()))
               : std::span<const T>();
}

/// Room for the gradient of the sinks, or null if they are not trained.
template <class T>
T* sink_gradients(const std::optional<Parameter<T>>& sinks, ScratchScope& scope) {
  return sinks && sinks->trainable ? scope.take<T>(sinks->size()) : nullptr;
}
/// Adds it to the sinks' own; nothing if null.
template <class T>
void sinks_backward(std::optional<Parameter<T>>& sinks, const T* dsinks) {
  if (dsinks == nullptr) return;
  auto&& gradient = sinks->accumulated_gradient();
  for (Index h = 0; h < sinks->size(); ++h) gradient[h] += dsinks[h];
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
