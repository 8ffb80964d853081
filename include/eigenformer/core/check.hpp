#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/error.hpp>
#include <eigenformer/core/shape.hpp>

#include <sstream>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Raises `Failure` (core/error.hpp) with the message `block: part part …` unless the condition holds. The message is put together only
/// then, so that a check which passes costs one comparison.
///   require<ShapeError>(x.cols() == dim, "LayerNorm", "expected last dimension ", dim, ", got x of shape ",
///   x.shape());
template <class Failure = ShapeError, class... Parts>
void require(bool condition, std::string_view block, const Parts&... parts) {
  if (condition) [[likely]] {
    return;
  }
  std::ostringstream message;
  message << block << ": ";
  (message << ... << parts);
  raise(Failure(message.str()));
}

/// Throws ShapeError unless the last dimension of `shape` is `features`.
inline void require_features(Index features, const Shape& shape, std::string_view block, std::string_view what = "x") {
  require(shape.rank() > 0 && shape[-1] == features, block, "expected last dimension ", features, ", got ", what,
          " of shape ", shape);
}

/// Throws ShapeError unless the two shapes are equal.
inline void require_shape(const Shape& expected, const Shape& shape, std::string_view block, std::string_view what) {
  require(expected == shape, block, "expected ", what, " of shape ", expected, ", got ", shape);
}

/// Throws OptionError unless the option is at least 1.
inline void require_positive(Index value, std::string_view block, std::string_view option) {
  require<OptionError>(value >= 1, block, "expected ", option, " of at least 1, got ", value);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
