#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/core/scalar_of.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

// What the arrangements of a norm, a mixer and a feed-forward share.

struct NoOptions {};  ///< What a part without options is made from.
template <class Part>
struct OptionsOf {
  using type = NoOptions;
};
template <class Part>
requires requires { typename Part::Options; }
struct OptionsOf<Part> {
  using type = typename Part::Options;
};
template <class Part>
using options_of = typename OptionsOf<Part>::type;

/// A part from its options, with random numbers of its own if it starts from any.
template <class Part>
Part make_part(const options_of<Part>& options, Random& random) {
  if constexpr (std::is_constructible_v<Part, const options_of<Part>&, Random>) {
    return Part(options, random.split());
  } else {
    return Part(options);
  }
}

/// Throws ShapeError unless the part reads and writes rows of `features`, as far as it says. The parts of an
/// arrangement are asked before the first of them writes.
template <class Part>
void require_width(const Part& part, Index features, std::string_view block, std::string_view name) {
  if constexpr (requires { part.input_features(); }) {
    require(part.input_features() == features, block, "expected last dimension ", part.input_features(), " for ", name,
            ", got ", features);
  }
  if constexpr (requires { part.output_features(); }) {
    require(part.output_features() == features, block, "expected ", name, " to give back ", features, " features, got ",
            part.output_features());
  }
}

/// Throws ShapeError unless the part reads rows of `features`, as far as it says.
template <class Part>
void require_input(const Part& part, Index features, std::string_view block, std::string_view name) {
  if constexpr (requires { part.input_features(); }) {
    require(part.input_features() == features, block, "expected ", name, " of last dimension ", part.input_features(),
            ", got ", features);
  }
}

/// Memory for a tensor of the shape of x.
template <class T, class X>
TensorView<T, 3> scratch_like(ScratchScope& scope, const X& x) {
  return TensorView<T, 3>(scope.take<T>(x.size()), x.dimensions());
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
