#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/position/angles.hpp>
#include <eigenformer/position/pairing.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct SinusoidalPositionsOptions {
  Index dim = 0;  ///< even
  double base = 10000;
};

/// y = x + P, where P at position p = start + l has sin(p f_i) and cos(p f_i) at the two features of frequency f_i.
///   x, y: [B, L, D], which may be the same    frequencies: [D / 2]
template <FeaturePairing Pairing, class T>
void add_sinusoids(ConstTensorView<T, 3> x, TensorView<T, 3> y, std::span<const double> frequencies, Index start,
                   Context& context) {
  constexpr bool interleaved = std::is_same_v<Pairing, Interleaved>;
  const Index batch = x.dimension(0);
  const Index length = x.dimension(1);
  const Index dim = x.dimension(2);
  ScratchScope scope(context.scratch());
  const PositionAngles<T> angles(scope, frequencies, start, length, context.instruction_set());
  const Index half = angles.count();
  double* const coarse = scope.take<double>(2 * half * context.threads());
  T* const tables = scope.take<T>((PositionAngles<T>::stride + 1) * dim * context.threads());
  const double operations = 2.0 * static_cast<double>((batch + 4) * length * dim);
  context.parallel_for_workers(angles.blocks(), operations, [&](Index block, Index worker) {
    double* const coarse_cosine = coarse + 2 * half * worker;
    double* const coarse_sine = coarse_cosine + half;
    T* const table = tables + (PositionAngles<T>::stride + 1) * dim * worker;
    T* const cosine = table + PositionAngles<T>::stride * dim;
    T* const sine = cosine + half;
    const Index first = angles.first(block);
    const Index rows = angles.last(block) - first + 1;
    angles.coarse(block, coarse_cosine, coarse_sine);
    for (Index n = 0; n < rows; ++n) {
      angles.at(first + n, coarse_cosine, coarse_sine, cosine, sine);
      T* const row = table + n * dim;
      for (Index i = 0; i < half; ++i) {
        row[interleaved ? 2 * i : i] = sine[i];
        row[interleaved ? 2 * i + 1 : half + i] = cosine[i];
      }
    }
    const ConstRowsView<T> added(table, rows, dim, dim);
    for (Index b = 0; b < batch; ++b) {
      const Index offset = (b * length + first - start) * dim;
      RowsView<T>(y.data() + offset, rows, dim, dim) = ConstRowsView<T>(x.data() + offset, rows, dim, dim) + added;
    }
  });
}

/// Adds sinusoidal positions (Vaswani et al. 2017, section 3.5): PE(p, 2i) = sin(p / base^(2i / D)), PE(p, 2i + 1) the
/// cosine. With HalfSplit all sines come first, then all cosines (tensor2tensor's layout). Angles are computed in
/// double.
///   forward:   x, y [batch, length, D], row l at position start + l; y may be x
///   backward:  dx = dy
///   throws OptionError for a dim that is odd or below 2 or a base that is not positive, ShapeError for an x or y that
///          does not fit, ValueError for a start not in 0 .. 2^53 - length
template <class T, FeaturePairing Pairing = Interleaved>
class SinusoidalPositions : public Block<SinusoidalPositions<T, Pairing>> {
 public:
  using Options = SinusoidalPositionsOptions;
  struct Cache {};

  explicit SinusoidalPositions(const SinusoidalPositionsOptions& chosen)
      : options(checked(chosen)), frequencies(geometric_frequencies(chosen.dim, chosen.base)) {}

  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, Context& context, Cache* = nullptr) const {
    forward(x, y, 0, context);
  }
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, Index start, Context& context, Cache* = nullptr) const {
    require_features(2 * static_cast<Index>(frequencies.size()), x.shape(), "SinusoidalPositions");
    require_shape(x.shape(), y.shape(), "SinusoidalPositions", "y");
    require<ValueError>(start >= 0 && start <= max_position - x.dimension(1), "SinusoidalPositions",
                        "expected positions in 0 .. 2^53, got start ", start, " for x of shape ", x.shape());
    const ProfileScope profile(context, "SinusoidalPositions");
    add_sinusoids<Pairing, T>(x, y, frequencies, start, context);
  }

  void backward(ConstTensorView<T, 3> dy, const Cache&, TensorView<T, 3> dx, Context&) const {
    require_features(2 * static_cast<Index>(frequencies.size()), dy.shape(), "SinusoidalPositions", "dy");
    require_shape(dy.shape(), dx.shape(), "SinusoidalPositions", "dx");
    std::copy_n(dy.data(), dy.size(), dx.data());
  }

  static void members(auto&, auto&&) {}

  SinusoidalPositionsOptions options;
  std::vector<double> frequencies;  ///< radians per position, [D / 2]

 private:
  static const SinusoidalPositionsOptions& checked(const SinusoidalPositionsOptions& chosen) {
    require<OptionError>(chosen.dim >= 2 && chosen.dim % 2 == 0, "SinusoidalPositions",
                         "expected an even dim of at least 2, got ", chosen.dim);
    require<OptionError>(chosen.base > 0 && chosen.base <= (std::numeric_limits<double>::max)(), "SinusoidalPositions",
                         "expected a positive base, got ", chosen.base);
    return chosen;
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
