#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

template <class B>
struct ScalarOf {};
template <template <class...> class B, class First, class... Rest>
struct ScalarOf<B<First, Rest...>> : ScalarOf<First> {};
template <template <class...> class B, class First, class... Rest>
requires std::is_arithmetic_v<First>
struct ScalarOf<B<First, Rest...>> {
  using type = First;
};
template <class B>
requires requires { typename B::Scalar; }
struct ScalarOf<B> {
  using type = typename B::Scalar;
};

}  // namespace detail

/// The number type that a block computes in: its member type `Scalar`, or the first template argument, which may be a
/// block in turn: float for LayerNorm<float> and for PreNorm<LayerNorm<float>, …>.
template <class B>
using scalar_of = typename detail::ScalarOf<B>::type;

/// Whether a block computes in T, as far as its type says: blocks of users need not say.
template <class B, class T>
concept ComputesIn = !requires {
  typename scalar_of<B>;
}
|| std::is_same_v<scalar_of<B>, T>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
