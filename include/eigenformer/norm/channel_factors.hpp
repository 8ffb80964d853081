#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/channel_norm.hpp>
#include <eigenformer/norm/channel_tiling.hpp>

#include <cmath>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// What normalises channels whose statistics are known:
///   d = x scale + shift,  z = d factor + offset,  y = z weight + bias = d gain + base
/// The last form, gain and base found in double, takes half the numbers per channel, and loading those is what bounds
/// the pass beside memory. It does not hold for the few channels that have a scale, or a gain out of the range in which T
/// has all its digits; those go step by step.
template <class T>
struct ChannelFactors {
  const T* scale;  ///< [channels], as all here
  const T* shift;
  const T* factor;  ///< 1 / deviation of d
  const T* offset;
  const T* weight;
  const T* bias;
  T* gain;
  T* base;
  const T* zeros;

  ChannelFactors from(Index c) const {
    return {scale + c, shift + c, factor + c, offset + c, weight + c, bias + c, gain + c, base + c, zeros + c};
  }

  /// Whether y = d gain + base may be used for a channel.
  bool folds(Index c) const {
    constexpr double least = double((std::numeric_limits<T>::min)()) / double(std::numeric_limits<T>::epsilon());
    constexpr double largest = double((std::numeric_limits<T>::max)());
    if (scale[c] != T(1)) return false;
    if (factor[c] == T(0) || weight[c] == T(0)) return true;
    const double size = std::abs(static_cast<double>(factor[c]) * static_cast<double>(weight[c]));
    return !(size < least || size > largest);
  }
  /// Writes gain and base. Returns how many channels go step by step.
  Index fold(Index channels) const {
    Index stepwise = 0;
    for (Index c = 0; c < channels; ++c) {
      const double w = static_cast<double>(weight[c]);
      gain[c] = kernels::is_finite(factor[c]) ? within_range<T>(static_cast<double>(factor[c]) * w) : factor[c];
      base[c] = within_range<T>(static_cast<double>(offset[c]) * w + static_cast<double>(bias[c]));
      stepwise += folds(c) ? 0 : 1;
    }
    return stepwise;
  }

  /// Writes y, and z where it is wanted, of rows that lack nothing but these numbers.
  void normalise(kernels::ChannelNormRows<T> rows, Index stepwise, InstructionSet instruction_set) const {
    if (stepwise == 0) return normalise_folded(rows, instruction_set);
    for (Index c = 0, end = 0; c < rows.channels; c = end) {
      const bool folded = folds(c);
      for (end = c + 1; end < rows.channels && folds(end) == folded;) ++end;
      kernels::ChannelNormRows<T> some = rows;
      some.x += c;
      some.y += c;
      some.z = rows.z ? rows.z + c : nullptr;
      some.channels = end - c;
      folded ? from(c).normalise_folded(some, instruction_set) : from(c).normalise_stepwise(some, instruction_set);
    }
  }

 private:
  void normalise_folded(kernels::ChannelNormRows<T> rows, InstructionSet instruction_set) const {
    rows.shift = shift;
    rows.gain = gain;
    rows.base = base;
    rows.factor = factor;
    rows.offset = offset;
    kernels::normalise_channels(rows, instruction_set);
  }
  /// d, z and y in turn stand where y will.
  void normalise_stepwise(kernels::ChannelNormRows<T> rows, InstructionSet instruction_set) const {
    T* const z = std::exchange(rows.z, nullptr);
    rows.shift = zeros;
    rows.gain = scale;
    rows.base = shift;
    kernels::normalise_channels(rows, instruction_set);
    rows.x = rows.y;
    rows.x_stride = rows.y_stride;
    rows.gain = rows.factor = factor;
    rows.base = rows.offset = offset;
    rows.z = z;
    kernels::normalise_channels(rows, instruction_set);
    rows.gain = weight;
    rows.base = bias;
    rows.z = nullptr;
    kernels::normalise_channels(rows, instruction_set);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
