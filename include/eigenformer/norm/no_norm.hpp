#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct NoNormOptions {};

/// y = x: what stands where a norm could and none is wanted. In place, as those who offer a place for a norm call it, it
/// does nothing.
///   forward:  x, y [..., D]    backward:  dy, dx [..., D]    throw ShapeError if the shapes differ
template <class T>
class NoNorm : public Block<NoNorm<T>> {
 public:
  using Scalar = T;
  using Options = NoNormOptions;
  struct Cache {
    Index rows = 0;      ///< N
    Index features = 0;  ///< D
  };

  explicit NoNorm(const NoNormOptions& = {}) {}

  void forward(ConstRowsView<T> x, RowsView<T> y, Context&, Cache* cache = nullptr) const {
    require_rows(x, x.features(), y, x.features(), "NoNorm");
    if (cache) *cache = {x.rows(), x.features()};
    if (x.data() != y.data()) y = x;
  }
  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context&) const {
    require_rows(dy, cache.features, dx, cache.features, "NoNorm", "dy", "dx");
    require(cache.rows == dy.rows(), "NoNorm", "expected dy with the ", cache.rows,
            " rows of the cached forward, got shape ", dy.shape());
    if (dy.data() != dx.data()) dx = dy;
  }

  static void members(auto&, auto&&) {}
};

namespace detail {

/// A norm over `features`, which its options need not repeat.
template <class Norm>
Norm norm_over(Index features, typename Norm::Options options) {
  if constexpr (requires { options.dim; }) {
    if (options.dim == 0) options.dim = features;
  }
  return Norm(options);
}
/// Throws ShapeError unless the norm is one over `features`, as far as it says.
template <class Norm>
void require_norm_over(Index features, const Norm& norm, std::string_view block, std::string_view name) {
  if constexpr (requires { norm.input_features(); }) {
    require(norm.input_features() == features, block, "expected ", name, " over ", features, " features, got ",
            norm.input_features());
  }
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
