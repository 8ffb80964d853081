#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/core/heads.hpp>
#include <eigenformer/kernels/rotate.hpp>
#include <eigenformer/position/angles.hpp>
#include <eigenformer/position/pairing.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct RotaryOptions {
  Index head_dim = 0;
  Index rotary_dim = head_dim;  ///< leading features that turn, even; the rest pass through
  double base = 10000;
};

/// Turns by +angle, which gives positions, or by -angle, which is the transpose and takes gradients back.
enum class Rotation { forward, backward };

/// Rotates, in place, pair i of the row at position p = start + l by the angle p frequencies[i].
///   x: [B, L, heads, head_dim], of which the first 2 frequencies.size() features turn
template <FeaturePairing Pairing, class T>
void rotary(const HeadsView<T>& x, std::span<const double> frequencies, Index start, Rotation rotation,
            Context& context) {
  constexpr bool interleaved = std::is_same_v<Pairing, Interleaved>;
  ScratchScope scope(context.scratch());
  const auto half = static_cast<Index>(frequencies.size());
  const Index width = interleaved ? 2 * half : half;
  double* const turning = scope.take<double>(width);
  const double direction = rotation == Rotation::forward ? 1 : -1;
  for (Index i = 0; i < half; ++i) {
    const double frequency = direction * frequencies[static_cast<std::size_t>(i)];
    if constexpr (interleaved) {  // the tables hold -sin and sin for the two of a pair
      turning[2 * i] = -frequency;
      turning[2 * i + 1] = frequency;
    } else {
      turning[i] = frequency;
    }
  }
  const InstructionSet instruction_set = context.instruction_set();
  const PositionAngles<T> angles(scope, {turning, static_cast<std::size_t>(width)}, start, x.length(), instruction_set);
  double* const coarse = scope.take<double>(2 * width * context.threads());
  T* const tables = scope.take<T>(2 * width * context.threads());
  const double operations = 4.0 * static_cast<double>(x.batch() * x.length() * (x.heads() + 4) * half);
  context.parallel_for_workers(angles.blocks(), operations, [&](Index block, Index worker) {
    double* const coarse_cosine = coarse + 2 * width * worker;
    double* const coarse_sine = coarse_cosine + width;
    T* const cosine = tables + 2 * width * worker;
    T* const sine = cosine + width;
    angles.coarse(block, coarse_cosine, coarse_sine);
    for (Index position = angles.first(block); position <= angles.last(block); ++position) {
      angles.at(position, coarse_cosine, coarse_sine, cosine, sine);
      for (Index b = 0; b < x.batch(); ++b) {
        T* const row = x.at(b, position - start, 0);
        if constexpr (interleaved) {
          kernels::rotate_pairs<T>(row, x.heads(), x.head_stride(), cosine, sine, width, instruction_set);
        } else {
          kernels::rotate_halves<T>(row, x.heads(), x.head_stride(), cosine, sine, width, instruction_set);
        }
      }
    }
  });
}

/// Rotary positions (Su et al. 2021, "RoFormer", equation 15) for queries and keys: the pair (a, b) of frequency i at
/// position p becomes (a cos t - b sin t, b cos t + a sin t), t = p base^(-2i / rotary_dim), so that the product of a
/// query and a key depends on the distance of their positions. Angles are computed in double, which PyTorch models do
/// in float: at position 10^6 theirs are off by 0.06, these by 10^-9. `frequencies` may be replaced, which is how
/// checkpoints stretched to longer contexts are served.
///   apply, apply_backward: x [B, L, heads, head_dim] in place, row l at position start + l, any start in 0 .. 2^53 - L
///   throws OptionError for a rotary_dim that is odd or not in 2 .. head_dim, or a base that is not positive;
///          ShapeError for another head_dim; ValueError for another start
template <FeaturePairing Pairing = Interleaved>
class Rotary {
 public:
  explicit Rotary(const RotaryOptions& chosen)
      : options(checked(chosen)), frequencies(geometric_frequencies(chosen.rotary_dim, chosen.base)) {}

  template <class T>
  void apply(const HeadsView<T>& x, Index start, Context& context) const {
    check(x.shape(), start);
    rotary<Pairing, T>(x, frequencies, start, Rotation::forward, context);
  }
  template <class T>
  void apply_backward(const HeadsView<T>& dx, Index start, Context& context) const {
    check(dx.shape(), start);
    rotary<Pairing, T>(dx, frequencies, start, Rotation::backward, context);
  }

  RotaryOptions options;
  std::vector<double> frequencies;  ///< radians per position, [rotary_dim / 2]

 private:
  static const RotaryOptions& checked(const RotaryOptions& chosen) {
    require_positive(chosen.head_dim, "Rotary", "head_dim");
    require<OptionError>(chosen.rotary_dim >= 2 && chosen.rotary_dim <= chosen.head_dim && chosen.rotary_dim % 2 == 0,
                         "Rotary", "expected an even rotary_dim in 2 .. head_dim = ", chosen.head_dim, ", got ",
                         chosen.rotary_dim);
    require<OptionError>(chosen.base > 0 && chosen.base <= (std::numeric_limits<double>::max)(), "Rotary",
                         "expected a positive base, got ", chosen.base);
    return chosen;
  }
  void check(const Shape& shape, Index start) const {
    require_features(options.head_dim, shape, "Rotary");
    require<OptionError>(2 * static_cast<Index>(frequencies.size()) <= options.head_dim, "Rotary", "expected at most ",
                         options.head_dim / 2, " frequencies, got ", frequencies.size());
    require<ValueError>(start >= 0 && start <= max_position - shape[1], "Rotary",
                        "expected positions in 0 .. 2^53, got start ", start, " for x of shape ", shape);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
