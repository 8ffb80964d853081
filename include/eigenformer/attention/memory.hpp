#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/attention/mask.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What cross-attention attends to, such as the output of an encoder, and which part of it queries see.
///   values: [B, T, memory_dim]
template <class T, AttentionMask Mask>
struct Memory {
  ConstTensorView<T, 3> values;  ///< what keys and values are made from
  Mask mask;                     ///< as NoMask{}, or Padding{lengths} where the memories are not all as long
};
/// So that the arguments say the types: Memory{encoded, NoMask{}}.
template <class View, class Mask>
Memory(const View&, Mask) -> Memory<typename View::Scalar, Mask>;

/// What a layer with cross-attention keeps when it goes step by step: keys and values of the positions so far, and of the
/// memory.
template <class T, HeadStorageOf<T> Storage = T>
struct CrossKeyValues {
  KeyValueCache<T, Storage> own;     ///< of n B sequences
  KeyValueCache<T, Storage> memory;  ///< of B memories, each of which n sequences share
};

/// Of what size CrossKeyValues are.
struct CrossKeyValuesOptions {
  Index capacity = 0;
  Index sequences = 1;  ///< that share each memory
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
