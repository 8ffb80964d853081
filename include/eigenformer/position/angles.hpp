#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/scratch.hpp>

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

/// Cosine and sine of position times frequency for the positions start .. start + length - 1, in double, without a call
/// to cos and sin for each: a position is c + f, c a multiple of `stride`, and the angles of c and of f are added by
///   cos(c + f) = cos c cos f - sin c sin f,    sin(c + f) = sin c cos f + cos c sin f,
/// which adds about two roundings in double to those of position times frequency. Each value depends on its position
/// alone, so that decoding one step at a time gives what the whole sequence gives. Nothing is kept between calls: a
/// table would either bound the positions or have to grow under a const call.
template <class = void>
class BasicPositionAngles {
 public:
  static constexpr Index stride = 32;
  static constexpr Index max_position = Index(1) << 53;  ///< what a double counts exactly

  /// Takes [stride, frequencies] from the scope and fills the fine part f of the positions that occur.
  BasicPositionAngles(ScratchScope& scope, std::span<const double> frequencies, Index start, Index length)
      : frequencies_(frequencies),
        start_(start),
        end_(start + length),
        cosine_(scope.take<double>(stride * count())),
        sine_(scope.take<double>(stride * count())) {
    for (Index n = 0; n < (std::min)(length, stride); ++n) {
      const Index fine = (start + n) % stride;
      for (Index i = 0; i < count(); ++i) {
        const double angle = static_cast<double>(fine) * frequency(i);
        cosine_[fine * count() + i] = std::cos(angle);
        sine_[fine * count() + i] = std::sin(angle);
      }
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

  /// Calls store(position, i, cosine, sine) for every position of a block and every frequency i.
  template <class Store>
  void for_each(Index block, const Store& store) const {
    const Index coarse = (start_ / stride + block) * stride;
    for (Index i = 0; i < count(); ++i) {
      const double angle = static_cast<double>(coarse) * frequency(i);
      const double c = std::cos(angle);
      const double s = std::sin(angle);
      for (Index position = first(block); position <= last(block); ++position) {
        const double fine_c = cosine_[(position - coarse) * count() + i];
        const double fine_s = sine_[(position - coarse) * count() + i];
        store(position, i, c * fine_c - s * fine_s, s * fine_c + c * fine_s);
      }
    }
  }

 private:
  double frequency(Index i) const { return frequencies_[static_cast<std::size_t>(i)]; }

  std::span<const double> frequencies_;
  Index start_;
  Index end_;
  double* cosine_;
  double* sine_;
};

/// The one BasicPositionAngles, which is a template so that only who uses it compiles it.
using PositionAngles = BasicPositionAngles<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
