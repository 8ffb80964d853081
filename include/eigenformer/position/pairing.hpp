#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Which two features share a frequency. Frequency i belongs to features 2i and 2i + 1, as published (Vaswani et al.
/// 2017, Su et al. 2021) and as in Llama's own checkpoints.
struct Interleaved {};

/// Frequency i belongs to features i and i + D/2, as in GPT-NeoX and in HuggingFace's Llama, whose query and key
/// weights have their rows permuted to match.
struct HalfSplit {};

/// Whether P is one of the two.
template <class P>
concept FeaturePairing = std::is_same_v<P, Interleaved> || std::is_same_v<P, HalfSplit>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
