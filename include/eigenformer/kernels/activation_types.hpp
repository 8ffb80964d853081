#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI {

// An activation is an empty type, chosen where a block is put together: FeedForward<float, Relu>. Its mathematics,
// value and derivative on one vector of numbers, is `evaluate(Relu(), x)` in kernels/simd/activation.inl, which
// elementwise loops and the last step of a product share.

/// y = x.
struct Identity {};
/// y = max(x, 0); the derivative at 0 is 0.
struct Relu {};
/// y = max(x, 0)^2 (So et al. 2021, "Primer", section 4).
struct SquaredRelu {};
/// y = 1 / (1 + e^-x).
struct Sigmoid {};
/// y = tanh(x).
struct Tanh {};
/// y = x / (1 + e^-x) (Elfwing et al. 2017; as Swish: Ramachandran et al. 2017).
struct Silu {};
/// y = x Phi(x) with the normal distribution function Phi (Hendrycks & Gimpel 2016): PyTorch's default, by erf.
struct Gelu {};
/// y = x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), the same paper's approximation: BERT's, GPT-2's, PyTorch's
/// "tanh".
struct GeluTanh {};
/// y = x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019, "Searching for MobileNetV3", section 5.2).
struct HardSwish {};

namespace detail {
template <class A, class... Types>
inline constexpr bool one_of = (std::is_same_v<A, Types> || ...);
}  // namespace detail

/// Whether A is one of the activations above.
template <class A>
concept Activation = detail::one_of<A, Identity, Relu, SquaredRelu, Sigmoid, Tanh, Silu, Gelu, GeluTanh, HardSwish>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
