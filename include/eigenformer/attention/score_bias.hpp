#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/core/scratch.hpp>
#include <eigenformer/kernels/attention_problem.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What attention adds to its scores, after the cap and before the mask, the same for every batch: one number for each
/// head and distance of key and query, in memory linear in the length (ALiBi; T5's relative positions), or one for each
/// head, query and key (EfficientViT's learned offsets). Not owned.
template <class T>
class ScoreBias {
 public:
  /// Nothing is added.
  ScoreBias() = default;
  /// Score (h, s, t) gets distances[h][t - s + S - 1].   distances: [H, S + T - 1]
  static ScoreBias by_distance(const T* distances, Index heads, Index queries, Index keys) {
    return {distances, heads, queries, keys, Form::by_distance};
  }
  /// Score (h, s, t) gets scores[h][s][t].   scores: [H, S, T]
  static ScoreBias dense(const T* scores, Index heads, Index queries, Index keys) {
    return {scores, heads, queries, keys, Form::dense};
  }

  const T* data() const { return data_; }
  Shape shape() const { return {heads_, queries_, keys_}; }
  bool empty() const { return data_ == nullptr; }
  /// Whether it has a number for each query and key.
  bool is_dense() const { return form_ == Form::dense; }

 private:
  enum class Form { by_distance, dense };
  ScoreBias(const T* data, Index heads, Index queries, Index keys, Form form)
      : data_(data), heads_(heads), queries_(queries), keys_(keys), form_(form) {}

  const T* data_ = nullptr;
  Index heads_ = 0;
  Index queries_ = 0;
  Index keys_ = 0;
  Form form_ = Form::by_distance;
};

namespace detail {

/// Positions that add to the score of a query and a key what depends on their distance.
template <class P, class T>
concept HasDistanceBiases = requires(const P& position, Index n, T* biases) {
  position.distance_biases(n, n, biases);
  position.heads();
};
/// And learn it.
template <class P, class T>
concept LearnsDistanceBiases = HasDistanceBiases<P, T> && requires(P& position, Index n, const T* dbiases) {
  position.distance_biases_backward(n, n, dbiases);
  position.weight.trainable;
};

/// How the kernels have a bias: contiguous along the columns of tasks of `heads` query heads, which are queries with
/// their heads side by side, with some keys more at either end, which tiles touch.
template <class T>
class ScoreBiasLayout {
 public:
  ScoreBiasLayout(const ScoreBias<T>& bias, Index heads)
      : bias_(bias), heads_(heads), columns_(bias.shape()[1] * heads), keys_(bias.shape()[2] + touched) {
    const Index length = bias.is_dense() ? keys_ * columns_ : columns_ + (keys_ - 1) * heads;
    heads_step_ = (length + touched + 31) / 32 * 32;
    key_step_ = bias.is_dense() ? columns_ : -heads;
    origin_ = bias.is_dense() ? 0 : (keys_ - 1) * heads;
  }

  /// Numbers of all heads.
  Index size() const { return bias_.shape()[0] / heads_ * heads_step_; }
  kernels::ScoreBiasRows<T> rows(const T* data) const { return {data + origin_, heads_, heads_step_, key_step_}; }
  /// Where the rows of a gradient laid out alike begin.
  Index origin() const { return origin_; }

  /// to: [size()]
  void spread(T* to) const {
    std::fill_n(to, size(), T(0));
    visit([&](Index i, Index at) { to[at] = bias_.data()[i]; });
  }
  /// The sum of `count` gradients laid out so, as the bias itself lies.   parts: [count, size()]
  void gather(const T* parts, Index count, T* to) const {
    visit([&](Index i, Index at) {
      to[i] = 0;
      for (Index part = kernels::seeded_bug == 17 ? 1 : 0; part < count; ++part) to[i] += parts[part * size() + at];
    });
  }

 private:
  static constexpr Index touched = 16;  ///< columns and keys behind the last, at least a vector and a register tile

  /// Calls with the place of each number in the bias and in this layout.
  template <class Function>
  void visit(Function function) const {
    const Index heads = bias_.shape()[0], queries = bias_.shape()[1], keys = bias_.shape()[2];
    Index i = 0;
    for (Index h = 0; h < heads; ++h) {
      const Index first = h / heads_ * heads_step_ + h % heads_ + origin_;
      if (bias_.is_dense()) {
        for (Index s = 0; s < queries; ++s) {
          for (Index t = 0; t < keys; ++t) function(i++, first + s * heads_ + t * key_step_);
        }
      } else {
        for (Index distance = 1 - queries; distance < keys; ++distance) function(i++, first - distance * heads_);
      }
    }
  }

  ScoreBias<T> bias_;
  Index heads_;
  Index columns_;
  Index keys_;
  Index heads_step_;
  Index key_step_;
  Index origin_;
};

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
