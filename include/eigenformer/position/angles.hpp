#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/scratch.hpp>
#include <eigenformer/kernels/turns.hpp>

#include <cmath>
#include <span>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

/// base^(-2i / dim) for i = 0 .. dim / 2 - 1, in radians per position (Vaswani et al. 2017, section 3.5).
inline std::vector<double> geometric_frequencies(Index dim, double base) {
  std::vector<double> frequencies(static_cast<std::size_t>(dim / 2));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(base, -2 * static_cast<double>(i) / static_cast<double>(dim));
  }
  return frequencies;
}

/// Positions end where a double does not count exactly.
inline constexpr Index max_position = Index(1) << 53;

/// Cosine and sine of position times frequency for the positions start .. start + length - 1, in double, without a call
/// to cos and sin for each: a position is c + f, c a multiple of `stride`, and the angles of c and of f are added by
///   cos(c + f) = cos c cos f - sin c sin f,    sin(c + f) = sin c cos f + cos c sin f,
/// which adds about two roundings in double to those of position times frequency. Each value depends on its position
/// alone, so that decoding one step at a time gives what the whole sequence gives. Nothing is kept between calls: a
/// table would either bound the positions or have to grow under a const call.
template <class T>
class PositionAngles {
 public:
  static constexpr Index stride = 32;

  /// Takes [stride, frequencies] from the scope and fills the fine part f of the positions that occur.
  PositionAngles(ScratchScope& scope, std::span<const double> frequencies, Index start, Index length,
                 InstructionSet instruction_set)
      : frequencies_(frequencies),
        start_(start),
        end_(start + length),
        instruction_set_(instruction_set),
        cosine_(scope.take<double>(stride * count())),
        sine_(scope.take<double>(stride * count())) {
    for (Index n = 0; n < (std::min)(length, stride); ++n) {
      const Index at = (start + n) % stride * count();
      turns((start + n) % stride, cosine_ + at, sine_ + at);
    }
  }

  /// Number of frequencies.
  Index count() const { return static_cast<Index>(frequencies_.size()); }
  /// Positions come in blocks that share their coarse part c.
  Index blocks() const { return start_ == end_ ? 0 : (end_ - 1) / stride - start_ / stride + 1; }
  /// First position of a block.
  Index first(Index block) const { return block == 0 ? start_ : (start_ / stride + block) * stride; }
  /// Last position of a block.
  Index last(Index block) const { return (std::min)(end_, (start_ / stride + block + 1) * stride) - 1; }

  /// The coarse part of a block: cosine, sine [count].
  void coarse(Index block, double* cosine, double* sine) const {
    turns((start_ / stride + block) * stride, cosine, sine);
  }
  /// The cosines and sines of a position from the coarse part of its block, rounded to T: cosine, sine [count].
  void at(Index position, const double* coarse_cosine, const double* coarse_sine, T* cosine, T* sine) const {
    const Index fine = position % stride * count();
    kernels::add_turns<T>({coarse_cosine, coarse_sine}, {cosine_ + fine, sine_ + fine}, count(), cosine, sine,
                          instruction_set_);
  }

 private:
  void turns(Index position, double* cosine, double* sine) const {
    kernels::turns<T>(static_cast<double>(position), frequencies_.data(), count(), cosine, sine, instruction_set_);
  }

  std::span<const double> frequencies_;
  Index start_;
  Index end_;
  InstructionSet instruction_set_;
  double* cosine_;
  double* sine_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
