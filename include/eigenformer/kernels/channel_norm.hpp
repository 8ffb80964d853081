#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/norm.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

// What normalises channels over rows, for BatchNorm and GroupNorm. A call sees some adjacent channels of some adjacent
// rows; parameters are arrays of one number for each of these channels.

/// Two sums for each channel, each as a high and a low part, so that the error does not grow with the number of rows.
///   first, first_low, second, second_low: [channels], one after the other `stride` apart, and two rows to work in
template <class T>
struct ChannelSums {
  static constexpr Index arrays = 6;
  T* first;  ///< [arrays, channels], the first of them
  Index stride;
};

/// d = x scale + shift, where scale is a power of two.
template <class T>
struct MomentRows {
  const T* x;  ///< [rows, channels]
  Index x_stride;
  Index rows;
  Index channels;
  const T* scale;  ///< [channels]
  const T* shift;  ///< [channels]
  Home home = Home::cache;
};

/// A gradient and what was normalised, for the sums of dy and dy z.
template <class T>
struct GradientRows {
  const T* dy;  ///< [rows, channels]
  Index dy_stride;
  const T* z;  ///< [rows, channels]
  Index z_stride;
  Index rows;
  Index channels;
  Home home = Home::cache;
};

/// y = (x + shift) gain + base,  z = (x + shift) factor + offset. y may be x itself; z may be null, for one that nobody
/// needs.
template <class T>
struct ChannelNormRows {
  const T* x;  ///< [rows, channels]
  Index x_stride;
  T* y;  ///< [rows, channels]
  Index y_stride;
  T* z;  ///< [rows, channels]
  Index z_stride;
  Index rows;
  Index channels;
  const T* shift = nullptr;   ///< [channels]
  const T* gain = nullptr;    ///< [channels]
  const T* base = nullptr;    ///< [channels]
  const T* factor = nullptr;  ///< [channels], or null as z
  const T* offset = nullptr;  ///< [channels], or null as z
  Home home = Home::cache;
};

/// dx = dy gain - (z slope + level). dx may be dy itself.
template <class T>
struct ChannelGradientRows {
  GradientRows<T> rows;
  T* dx;  ///< [rows, channels]
  Index dx_stride;
  const T* gain;   ///< [channels]
  const T* slope;  ///< [channels]
  const T* level;  ///< [channels]
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/channel_norm.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Adds sum d and sum d^2 over the rows.
template <class T>
void add_moments(const MomentRows<T>& work, const ChannelSums<T>& sums, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, add_moments<T>(work, sums));
}

/// Adds sum dy and sum dy z over the rows.
template <class T>
void add_gradient_sums(const GradientRows<T>& work, const ChannelSums<T>& sums, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, add_gradient_sums<T>(work, sums));
}

/// total += parts, both sums of all channels.
template <class T>
void add_channel_sums(const ChannelSums<T>& parts, Index channels, const ChannelSums<T>& total,
                      InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, add_channel_sums<T>(parts, channels, total));
}

/// x = 1 / sqrt(x), and 0 where x is not above 0, in double for norms of T, which are compiled for T alone.   x: [count]
template <class T>
void invert_roots(double* x, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, invert_roots<double>(x, count));
}

/// largest = max(largest, |d|) over the rows; a NaN may or may not be noticed.   largest: [channels]
template <class T>
void find_magnitudes(const MomentRows<T>& work, T* largest, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, find_magnitudes<T>(work, largest));
}

/// Writes y, and z where it is wanted.
template <class T>
void normalise_channels(const ChannelNormRows<T>& work, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, normalise_channels<T>(work));
}

/// Writes dx.
template <class T>
void normalise_channels_backward(const ChannelGradientRows<T>& work, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, normalise_channels_backward<T>(work));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
