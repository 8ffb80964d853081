#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/attention_problem.hpp>
#include <eigenformer/kernels/dropout.hpp>
#include <eigenformer/kernels/simd/math.hpp>
#include <eigenformer/kernels/tile.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#define EIGENFORMER_KERNEL <eigenformer/kernels/attention_tile.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/attention_product.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/attention_columns.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/attention_softmax.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/attention_forward.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/attention_decode.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/attention_gradient.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/attention_backward.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

// Attention in tiles with an online softmax (Milakov & Gimelshein 2018; Dao et al. 2022, "FlashAttention"), turned
// round: queries lie along the lanes of the vectors, so that the softmax of a query runs down a lane and nothing is
// ever added up across lanes. A tile of scores is keys by queries, S^T = K Q^T, the running maximum and sum are
// vectors, and the weights are, as they stand, the right factor of O^T = V^T P^T.

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Elements of scratch memory that one task of attention_forward needs.
template <class T>
Index attention_forward_scratch(Index key_dim, Index value_dim, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, attention::ForwardScratch<T>::size(key_dim, value_dim));
}

/// Attention of the columns of one task, at most attention_query_tile, over task.keys.
template <class T>
void attention_forward(const AttentionProblem<T>& problem, const AttentionTask& task, const AttentionResult<T>& result,
                       T* scratch, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, attention::forward_tile<T>(problem, task, result, scratch));
}

/// Elements of scratch memory that one task of attention_decode needs, whatever its keys.
template <class T>
Index attention_decode_scratch(const AttentionTask& task, Index key_dim, Index value_dim,
                               InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, attention::decode_scratch_size<T>(task, key_dim, value_dim));
}

/// Attention of the few columns of one task over task.keys, for each of its task.kv_heads key/value heads.
template <class T>
void attention_decode(const AttentionProblem<T>& problem, const AttentionTask& task, const AttentionResult<T>& result,
                      T* scratch, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, attention::decode<T>(problem, task, result, scratch));
}

/// Puts the parts that tasks left in result.part_… together, in their order.
///   part_rows: [parts, columns, d_v]    part_maximum, part_sum: [parts, columns]
template <class T>
void attention_combine(const AttentionTask& task, const AttentionResult<T>& result, Index parts, Index value_dim,
                       InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, attention::combine<T>(task, result, parts, value_dim));
}

/// Elements of scratch memory that one task of attention_backward needs.
template <class T>
Index attention_backward_scratch(Index key_dim, Index value_dim, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, attention::backward_scratch_size<T>(key_dim, value_dim));
}

/// Gradients of all queries of the task's heads: their dq, and dk and dv summed over these heads in their order.
template <class T>
void attention_backward(const AttentionProblem<T>& problem, const AttentionGradient<T>& gradient,
                        const AttentionTask& task, const AttentionKeyGradient<T>& keys, T* scratch,
                        InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, attention::backward<T>(problem, gradient, task, keys, scratch));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
