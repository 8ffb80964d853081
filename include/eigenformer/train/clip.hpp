#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

inline constexpr Index norm_lanes = 8;
inline constexpr Index norm_chunks = 64;

/// sum_i (g_i / scale)^2 in eight sums, so that no addition waits for the one before.
template <class T>
double sum_of_squares(const T* g, Index count, double scale) {
  std::array<double, norm_lanes> sums{};
  Index i = 0;
  for (; i + norm_lanes <= count; i += norm_lanes) {
    for (Index lane = 0; lane < norm_lanes; ++lane) {
      const double x = static_cast<double>(g[i + lane]) * scale;
      sums[static_cast<std::size_t>(lane)] += x * x;
    }
  }
  for (Index lane = 0; i + lane < count; ++lane) {
    const double x = static_cast<double>(g[i + lane]) * scale;
    sums[static_cast<std::size_t>(lane)] += x * x;
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

/// The same over chunks whose borders depend on the count alone, on all threads, added in their order.
template <class T>
double sum_of_squares(std::span<const T> g, double scale, Context& context) {
  const Index size = static_cast<Index>(g.size());
  const Index each = (std::max)(Index(4096), (size + norm_chunks - 1) / norm_chunks);
  const Index chunks = (size + each - 1) / each;
  std::array<double, norm_chunks> parts{};
  context.parallel_for(chunks, 4.0 * static_cast<double>(size), [&](Index chunk) {
    const Index first = chunk * each;
    parts[static_cast<std::size_t>(chunk)] = sum_of_squares(g.data() + first, (std::min)(each, size - first), scale);
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

/// By its bits, as -ffast-math answers std::isfinite without looking.
inline bool finite_norm(double x) {
  return (std::bit_cast<std::uint64_t>(x) & 0x7ff0000000000000u) != 0x7ff0000000000000u;
}

}  // namespace detail

/// The length of all gradients taken as one vector, sqrt(sum g^2), over the trainable parameters.
template <class Model>
double gradient_norm(const Model& model, Context& context) {
  double squares = 0;
  double largest = 0;
  const auto add_squares = [&](double scale) {
    squares = 0;
    visit_learnable(model, [&](const Name&, const auto& parameter) {
      if (parameter.trainable) squares += detail::sum_of_squares(parameter.gradients(), scale, context);
    });
  };
  add_squares(1);
  if (detail::finite_norm(squares) && squares > 1e-280) return std::sqrt(squares);
  // Squares of doubles may overflow or vanish where the norm itself does neither: again, divided by the largest.
  visit_learnable(model, [&](const Name&, const auto& parameter) {
    if (!parameter.trainable) return;
    for (const auto g : parameter.gradients()) largest = (std::max)(largest, std::fabs(static_cast<double>(g)));
  });
  if (!(largest > 0) || !detail::finite_norm(largest)) return std::sqrt(squares);
  // By a power of two, which neither rounds nor leaves the range of its own reciprocal.
  const int exponent = (std::max)(-1000, (std::min)(1000, std::ilogb(largest)));
  add_squares(std::ldexp(1.0, -exponent));
  return std::ldexp(std::sqrt(squares), exponent);
}

/// Multiplies all gradients by max_norm / norm if their common length is above max_norm (Pascanu et al. 2013, algorithm
/// 1), and returns the length before. PyTorch divides by norm + 1e-6 instead. The sum is taken in double in an order of
/// its own, whatever the threads. If the norm is not finite the gradients stay as they are and it is returned: a step
/// with them would spoil the model, so look before you take it.
///   throws OptionError unless max_norm is above 0
template <class Model>
double clip_gradient_norm(Model& model, double max_norm, Context& context) {
  require<OptionError>(max_norm > 0, "clip_gradient_norm", "expected max_norm above 0, got ", max_norm);
  ProfileScope profile(context, "clip_gradient_norm");
  const double norm = gradient_norm(model, context);
  if (!detail::finite_norm(norm) || norm <= max_norm) return norm;
  const auto scale_by = [&model](double factor) {
    visit_learnable(model, [factor](const Name&, auto& parameter) {
      if (!parameter.trainable) return;
      using T = typename std::remove_cvref_t<decltype(parameter)>::Scalar;
      for (T& g : parameter.gradients()) g = static_cast<T>(static_cast<double>(g) * factor);
    });
  };
  if (max_norm / norm > 1e-290) {
    scale_by(max_norm / norm);
  } else {  // denormal, and zero where denormal numbers are flushed: in two steps, the first by a power of two
    const int exponent = std::ilogb(norm);
    scale_by(std::ldexp(1.0, -exponent));
    scale_by(max_norm / std::ldexp(norm, -exponent));
  }
  return norm;
}
/// The same on the calling thread alone.
template <class Model>
double clip_gradient_norm(Model& model, double max_norm) {
  Context context;
  return clip_gradient_norm(model, max_norm, context);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
