#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/core/check.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/position/no_position.hpp>

#include <cmath>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Which distances share a bucket. Bidirectional has half of the buckets for keys behind the query, as in encoders; causal
/// has none for them.
enum class RelativeDirection { bidirectional, causal };

struct RelativeBiasOptions {
  Index heads = 0;
  Index num_buckets = 32;
  Index max_distance = 128;  ///< from here on all distances are in the last bucket
  RelativeDirection direction = RelativeDirection::bidirectional;
  double deviation = 0.02;  ///< of the initial weight, which is normal
};

/// The bucket of a key that is `distance` positions behind the query (before it, if negative): half of the buckets are
/// single distances, the other half grows by a constant factor up to max_distance (Raffel et al. 2020, "T5", section 2.1).
/// The logarithm is taken in float, as published checkpoints have it.
inline Index relative_bucket(Index distance, const RelativeBiasOptions& options) {
  Index buckets = options.num_buckets;
  Index result = 0;
  Index before = -distance;
  if (options.direction == RelativeDirection::bidirectional) {
    buckets /= 2;
    if (distance > 0) result = buckets;
    before = distance > 0 ? distance : -distance;
  } else if (distance > 0) {
    before = 0;
  }
  const Index single = buckets / 2;
  if (before < single) return result + before;
  const float grown =
      std::log(static_cast<float>(before) / static_cast<float>(single)) /
      static_cast<float>(std::log(static_cast<double>(options.max_distance) / static_cast<double>(single))) *
      static_cast<float>(buckets - single);
  const float last = static_cast<float>(buckets - 1);
  const float bucket = static_cast<float>(single) + std::floor(grown);
  return result + static_cast<Index>(bucket < last ? bucket : last);
}

/// Relative position biases (Raffel et al. 2020, "T5", section 2.1): each head learns a number for each bucket of
/// distances, which is added to scores. Stands where attention takes its positions. T5 does not scale its scores:
/// softmax_scale = 1.
///   weight [num_buckets, heads], as T5's relative_attention_bias.weight
///   throws OptionError for heads below 1, or fewer than 2 (bidirectional: 4) buckets, or a max_distance that does not
///          reach beyond the single distances
template <class T>
class RelativeBias : public Block<RelativeBias<T>>, public NoPosition {
 public:
  using Scalar = T;
  using Options = RelativeBiasOptions;

  RelativeBias(const Options& chosen, Random random)
      : options(checked(chosen)), weight(Matrix<T>(chosen.num_buckets, chosen.heads)) {
    for (Index i = 0; i < weight.size(); ++i)
      weight.value.data()[i] = static_cast<T>(chosen.deviation * random.normal());
  }

  Index heads() const { return options.heads; }
  /// biases[h][i] is what scores of keys at the distance first + i from the query get.   biases: [heads, count]
  void distance_biases(Index first, Index count, T* biases) const {
    check_weight();
    for (Index i = 0; i < count; ++i) {
      const Index bucket = relative_bucket(first + i, options);
      for (Index h = 0; h < options.heads; ++h) biases[h * count + i] = weight.value(bucket, h);
    }
  }
  /// Adds to the weight's gradient, in the order of the distances.   dbiases: [heads, count]
  void distance_biases_backward(Index first, Index count, const T* dbiases) {
    check_weight();
    if (!weight.trainable) return;
    Matrix<T>& gradient = weight.accumulated_gradient();
    for (Index i = 0; i < count; ++i) {
      const Index bucket = relative_bucket(first + i, options);
      for (Index h = 0; h < options.heads; ++h) gradient(bucket, h) += dbiases[h * count + i];
    }
  }

  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }

  Options options;
  Parameter<T, 2> weight;

 private:
  static const Options& checked(const Options& options) {
    require_positive(options.heads, "RelativeBias", "heads");
    const Index least = options.direction == RelativeDirection::bidirectional ? 4 : 2;
    require<OptionError>(options.num_buckets >= least && options.num_buckets % (least / 2) == 0, "RelativeBias",
                         "expected an even number of buckets of at least ", least, ", got ", options.num_buckets);
    const Index single = options.num_buckets / least;
    require<OptionError>(options.max_distance > single, "RelativeBias", "expected a max_distance above ", single,
                         ", got ", options.max_distance);
    return options;
  }
  /// The weight is public and may have been replaced.
  void check_weight() const {
    require_shape({options.num_buckets, options.heads}, weight.shape(), "RelativeBias", "weight");
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
