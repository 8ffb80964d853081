#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/activation.hpp>
#include <eigenformer/kernels/attention.hpp>
#include <eigenformer/kernels/bit_product.hpp>
#include <eigenformer/kernels/channel_norm.hpp>
#include <eigenformer/kernels/cross_entropy.hpp>
#include <eigenformer/kernels/depthwise.hpp>
#include <eigenformer/kernels/descent.hpp>
#include <eigenformer/kernels/dropout.hpp>
#include <eigenformer/kernels/gemm.hpp>
#include <eigenformer/kernels/norm.hpp>
#include <eigenformer/kernels/quantize_row.hpp>
#include <eigenformer/kernels/recurrent.hpp>
#include <eigenformer/kernels/rotate.hpp>
#include <eigenformer/kernels/scale_norm.hpp>
#include <eigenformer/kernels/softmax.hpp>
#include <eigenformer/kernels/turns.hpp>

// The kernels compiled once for a whole program, instead of once in each of its files: most of the time that a file
// with blocks takes to compile is theirs. Include this header before any other of the library's in every file (a
// precompiled header is the place), and give the program one more file:
//   #include <eigenformer/kernels/compiled/kernels.hpp>
//   EIGENFORMER_COMPILE_KERNELS(float);
//   EIGENFORMER_COMPILE_KERNELS(double);  // if it uses double
// Who forgets it is told so by the linker. Nothing else changes: the same code runs, called instead of inlined, and a
// file that does not include this header still brings its own.

/// Defines the kernels for numbers of type T, float or double; once in a program, outside of any namespace.
#define EIGENFORMER_COMPILE_KERNELS(T) EIGENFORMER_INSTANCES_OF_KERNELS(, T)

// Every function of the kernels that blocks call, each as `<extern_or_nothing> template <its declaration>`.
#define EIGENFORMER_INSTANCES_OF_KERNELS(extern_or_nothing, T)                                                         \
  namespace eigenformer::inline EIGENFORMER_ABI::kernels {                                                             \
  EIGENFORMER_INSTANCES_OF_PRODUCT(extern_or_nothing, T, T)                                                            \
  EIGENFORMER_INSTANCES_OF_PRODUCT(extern_or_nothing, T, Bfloat16)                                                     \
  EIGENFORMER_INSTANCES_OF_PRODUCT(extern_or_nothing, T, Float16)                                                      \
  EIGENFORMER_INSTANCES_OF_ACTIVATION(extern_or_nothing, T, Identity)                                                  \
  EIGENFORMER_INSTANCES_OF_ACTIVATION(extern_or_nothing, T, Relu)                                                      \
  EIGENFORMER_INSTANCES_OF_ACTIVATION(extern_or_nothing, T, SquaredRelu)                                               \
  EIGENFORMER_INSTANCES_OF_ACTIVATION(extern_or_nothing, T, Sigmoid)                                                   \
  EIGENFORMER_INSTANCES_OF_ACTIVATION(extern_or_nothing, T, Tanh)                                                      \
  EIGENFORMER_INSTANCES_OF_ACTIVATION(extern_or_nothing, T, Silu)                                                      \
  EIGENFORMER_INSTANCES_OF_ACTIVATION(extern_or_nothing, T, Gelu)                                                      \
  EIGENFORMER_INSTANCES_OF_ACTIVATION(extern_or_nothing, T, GeluTanh)                                                  \
  EIGENFORMER_INSTANCES_OF_ACTIVATION(extern_or_nothing, T, HardSwish)                                                 \
  EIGENFORMER_INSTANCES_OF_BIT_PRODUCT(extern_or_nothing, T, Binary)                                                   \
  EIGENFORMER_INSTANCES_OF_BIT_PRODUCT(extern_or_nothing, T, Ternary)                                                  \
  EIGENFORMER_INSTANCES_OF_NORM(extern_or_nothing, T, Centred)                                                         \
  EIGENFORMER_INSTANCES_OF_NORM(extern_or_nothing, T, Uncentred)                                                       \
  extern_or_nothing template Index panels_size<T>(Index, Index, InstructionSet);                                       \
  extern_or_nothing template void add_rows<T>(const T*, Index, Index, T*, InstructionSet);                             \
  extern_or_nothing template void add_moments<T>(const MomentRows<T>&, const ChannelSums<T>&, InstructionSet);         \
  extern_or_nothing template void add_gradient_sums<T>(const GradientRows<T>&, const ChannelSums<T>&, InstructionSet); \
  extern_or_nothing template void add_channel_sums<T>(const ChannelSums<T>&, Index, const ChannelSums<T>&,             \
                                                      InstructionSet);                                                 \
  extern_or_nothing template void invert_roots<T>(double*, Index, InstructionSet);                                     \
  extern_or_nothing template void find_magnitudes<T>(const MomentRows<T>&, T*, InstructionSet);                        \
  extern_or_nothing template void normalise_channels<T>(const ChannelNormRows<T>&, InstructionSet);                    \
  extern_or_nothing template void normalise_channels_backward<T>(const ChannelGradientRows<T>&, InstructionSet);       \
  extern_or_nothing template void scale_norm<T>(const ScaleNormRows<T>&, InstructionSet);                              \
  extern_or_nothing template double scale_norm_backward<T>(const ScaleNormBackwardRows<T>&, InstructionSet);           \
  extern_or_nothing template void softmax<T>(const SoftmaxRows<T>&, InstructionSet);                                   \
  extern_or_nothing template void softmax_backward<T>(const SoftmaxBackwardRows<T>&, InstructionSet);                  \
  extern_or_nothing template void log_softmax<T>(const SoftmaxRows<T>&, InstructionSet);                               \
  extern_or_nothing template void log_softmax_backward<T>(const SoftmaxBackwardRows<T>&, InstructionSet);              \
  extern_or_nothing template RowOfLogits<T> read_logits<T>(const T*, Index, const T*, T*, InstructionSet);             \
  extern_or_nothing template void finish_gradient<T>(T*, Index, const T*, T, T, InstructionSet);                       \
  extern_or_nothing template void adamw_update<T>(T*, const T*, T*, T*, Index, const AdamWUpdate<T>&, InstructionSet); \
  extern_or_nothing template void sgd_update<T>(T*, const T*, T*, Index, const SgdUpdate<T>&, InstructionSet);         \
  extern_or_nothing template void drop<T>(const T*, T*, Index, const DropoutStream&, Index, const DropoutRule<T>&,     \
                                          InstructionSet);                                                             \
  extern_or_nothing template void lstm_cell<T>(const CellRow<T>&, InstructionSet);                                     \
  extern_or_nothing template void lstm_cell_backward<T>(const CellBackwardRow<T>&, InstructionSet);                    \
  extern_or_nothing template void gru_cell<T>(const CellRow<T>&, InstructionSet);                                      \
  extern_or_nothing template void gru_cell_backward<T>(const CellBackwardRow<T>&, InstructionSet);                     \
  extern_or_nothing template T largest_magnitude<T>(const T*, Index, InstructionSet);                                  \
  extern_or_nothing template T least_number<T>(const T*, Index, InstructionSet);                                       \
  extern_or_nothing template void quantize_row<T>(const T*, Index, const RowCode<T>&, std::int8_t*, InstructionSet);   \
  extern_or_nothing template void rotate_pairs<T>(T*, Index, Index, const T*, const T*, Index, InstructionSet);        \
  extern_or_nothing template void rotate_halves<T>(T*, Index, Index, const T*, const T*, Index, InstructionSet);       \
  extern_or_nothing template Index depthwise_lanes<T>(InstructionSet);                                                 \
  extern_or_nothing template Index depthwise_scratch<T>(const DepthwiseStrip&, InstructionSet);                        \
  extern_or_nothing template void depthwise<T>(const DepthwiseImage<T>&, const DepthwiseStrip&, const T*, const T*,    \
                                               const DepthwisePixels<T>&, T*, InstructionSet);                         \
  extern_or_nothing template void depthwise_backward_weight<T>(const DepthwiseImage<T>&, const DepthwiseStrip&,        \
                                                               const DepthwisePixels<const T>&, T*, T*,                \
                                                               InstructionSet);                                        \
  extern_or_nothing template void turns<T>(double, const double*, Index, double*, double*, InstructionSet);            \
  extern_or_nothing template void add_turns<T>(const Turns&, const Turns&, Index, T*, T*, InstructionSet);             \
  extern_or_nothing template Index attention_forward_scratch<T>(Index, Index, InstructionSet);                         \
  extern_or_nothing template void attention_forward<T>(const AttentionProblem<T>&, const AttentionTask&,               \
                                                       const AttentionResult<T>&, T*, InstructionSet);                 \
  extern_or_nothing template Index attention_decode_scratch<T>(const AttentionTask&, Index, Index, InstructionSet);    \
  extern_or_nothing template void attention_decode<T>(const AttentionProblem<T>&, const AttentionTask&,                \
                                                      const AttentionResult<T>&, T*, InstructionSet);                  \
  extern_or_nothing template void attention_combine<T>(const AttentionTask&, const AttentionResult<T>&, Index, Index,  \
                                                       InstructionSet);                                                \
  extern_or_nothing template Index attention_backward_scratch<T>(Index, Index, InstructionSet);                        \
  extern_or_nothing template void attention_backward<T>(const AttentionProblem<T>&, const AttentionGradient<T>&,       \
                                                        const AttentionTask&, const AttentionKeyGradient<T>&, T*,      \
                                                        InstructionSet);                                               \
  }                                                                                                                    \
  static_assert(true)

#define EIGENFORMER_INSTANCES_OF_PRODUCT(extern_or_nothing, T, Stored)                                                 \
  extern_or_nothing template void gemm<T, AddBias<T>, Stored>(const Product<T, Stored>&, Context&, const AddBias<T>&); \
  extern_or_nothing template void gemv<T, AddBias<T>, Stored>(const Product<T, Stored>&, Context&, const AddBias<T>&); \
  extern_or_nothing template void gemm<T, AddBias<T>, Stored>(const Product<T, Stored>&, const Panels<T>&, Context&,   \
                                                              const AddBias<T>&);                                      \
  extern_or_nothing template void pack_panels<T, Stored>(const Operand<Stored>&, Index, Index, T*, InstructionSet);

#define EIGENFORMER_INSTANCES_OF_ACTIVATION(extern_or_nothing, T, A)                                      \
  extern_or_nothing template void activate<A, T>(const T*, T*, Index, InstructionSet);                    \
  extern_or_nothing template void activate_backward<A, T>(const T*, const T*, T*, Index, InstructionSet); \
  extern_or_nothing template void gated<A, T>(const T*, const T*, T*, Index, InstructionSet);             \
  extern_or_nothing template void gated_backward<A, T>(const T*, const T*, const T*, T*, T*, Index, InstructionSet);

#define EIGENFORMER_INSTANCES_OF_BIT_PRODUCT(extern_or_nothing, T, Weights)                                         \
  extern_or_nothing template void bit_product<Weights, T>(const BitProduct<Weights>&, const BitSums<T>&, Context&); \
  extern_or_nothing template void bit_product<Weights, T>(const BitProduct<Weights>&, const ScaledSums<T>&, Context&);

#define EIGENFORMER_INSTANCES_OF_NORM(extern_or_nothing, T, Statistics)                         \
  extern_or_nothing template void normalise<Statistics, T>(const NormRows<T>&, InstructionSet); \
  extern_or_nothing template void normalise_backward<Statistics, T>(const NormBackwardRows<T>&, InstructionSet);

EIGENFORMER_INSTANCES_OF_KERNELS(extern, float);
EIGENFORMER_INSTANCES_OF_KERNELS(extern, double);
