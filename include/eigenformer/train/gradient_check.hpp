#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/core/random.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Defaults for double. A difference quotient of step h carries an error of about h^2 from the curvature and eps |f| /
/// h from rounding, so float needs larger numbers throughout, and shows only gross mistakes.
struct GradientCheckOptions {
  double step = 1e-6;      ///< h: a difference is that of value - h and value + h
  double absolute = 1e-5;  ///< difference allowed, absolute
  double relative = 1e-3;  ///< difference allowed, relative to the derivative
  Index values_each = 0;   ///< how many values of each parameter are tried, chosen at random; 0 for all
  std::uint64_t seed = 1;  ///< of that choice, and of what the output is multiplied with
};

/// What a gradient check found. An error is |analytic - numeric| / (absolute + relative |numeric|), so 1 is the limit.
struct GradientCheck {
  double worst = 0;  ///< largest difference, in units of its limit; above 1 is a failure
  std::string name;  ///< the parameter with the worst error, or `x`
  Index position = 0;
  double analytic = 0;  ///< what backward says
  double numeric = 0;   ///< what differences say
  Index compared = 0;   ///< number of derivatives looked at

  /// False also if nothing was compared.
  bool passed() const { return compared > 0 && worst <= 1; }
  friend std::ostream& operator<<(std::ostream& out, const GradientCheck& check) {
    return out << "error " << check.worst << " of the allowed one, worst of " << check.compared << ": " << check.name
               << " at " << check.position << ", analytic " << check.analytic << ", numeric " << check.numeric;
  }
};

namespace detail {

inline void compare_gradients(double analytic, double numeric, const Name& name, Index position,
                              const GradientCheckOptions& options, GradientCheck& result) {
  ++result.compared;
  double error = std::fabs(analytic - numeric) / (options.absolute + options.relative * std::fabs(numeric));
  // NaN and infinity are told by their bits, as -ffast-math takes both for impossible.
  constexpr std::uint64_t exponent = 0x7ff0000000000000u;
  if ((std::bit_cast<std::uint64_t>(error) & exponent) == exponent) error = (std::numeric_limits<double>::max)();
  if (error <= result.worst && result.compared > 1) return;
  result = {error, name.str(), position, analytic, numeric, result.compared};
}

/// Compares `analytic` with the difference quotients of loss() at some or all of `values`, which it moves and puts
/// back.
template <class T, class Loss>
void check_values(std::span<T> values, std::span<const T> analytic, const Name& name, const Loss& loss,
                  const GradientCheckOptions& options, Random& random, GradientCheck& result) {
  const Index size = static_cast<Index>(values.size());
  const Index count = options.values_each == 0 ? size : (std::min)(size, options.values_each);
  for (Index i = 0; i < count; ++i) {
    const Index position = count == size ? i : random.index(size);
    T& value = values[static_cast<std::size_t>(position)];
    const T before = value;
    value = static_cast<T>(static_cast<double>(before) + options.step);
    const double upper = static_cast<double>(value);
    const double above = loss();
    value = static_cast<T>(static_cast<double>(before) - options.step);
    const double width = upper - static_cast<double>(value);  // what was really stepped, after rounding
    const double below = loss();
    value = before;
    compare_gradients(static_cast<double>(analytic[static_cast<std::size_t>(position)]), (above - below) / width, name,
                      position, options, result);
  }
}

}  // namespace detail

/// Holds the gradients in a model against difference quotients of loss(), a function of the model's values that the
/// caller has run backward through. Frozen parameters and those without a gradient are left out.
template <class Model, class Loss>
GradientCheck check_parameter_gradients(Model& model, const Loss& loss, const GradientCheckOptions& options = {}) {
  require<OptionError>(options.step > 0, "check_parameter_gradients", "expected step above 0, got ", options.step);
  GradientCheck result;
  Random random(options.seed);
  visit_learnable(model, [&](const Name& name, auto& parameter) {
    if (!parameter.trainable || parameter.gradient.size() == 0) return;
    using T = typename std::remove_cvref_t<decltype(parameter)>::Scalar;
    detail::check_values<T>(parameter.values(), parameter.gradients(), name, loss, options, random, result);
  });
  return result;
}

/// Holds a block's backward against its forward, by x and by every trainable parameter, with sum(r y) as the loss, r
/// being random numbers in [-1, 1). Works on a copy of the block. `arguments` are those of forward between y and the
/// context, such as a mask.
///   x: anything the block's forward takes, as an owned tensor or matrix
template <class B, class X, class... Arguments>
GradientCheck check_gradients(B block, X x, const GradientCheckOptions& options, const Arguments&... arguments) {
  using T = typename X::Scalar;
  Context context;
  Random random(options.seed);
  auto y = block.output_like(x);
  auto weights = y;
  for (T& r : std::span(weights.data(), static_cast<std::size_t>(weights.size()))) {
    r = static_cast<T>(random.uniform(-1, 1));
  }
  const auto loss = [&] {
    block.forward(x, y, arguments..., context);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) {
      sum += static_cast<double>(weights.data()[i]) * static_cast<double>(y.data()[i]);
    }
    return sum;
  };
  typename B::Cache cache;
  X dx = x;
  visit_learnable(block, [](const Name&, auto& parameter) { parameter.gradient = {}; });
  block.forward(x, y, arguments..., context, &cache);
  block.backward(weights, cache, dx, context);
  GradientCheck result = check_parameter_gradients(block, loss, options);
  const auto size = static_cast<std::size_t>(x.size());
  detail::check_values<T>(std::span<T>(x.data(), size), std::span<const T>(dx.data(), size), Name({}, "x"), loss,
                          options, random, result);
  return result;
}

/// The same with the options for double.
template <class B, class X>
GradientCheck check_gradients(B block, X x) {
  return check_gradients(std::move(block), std::move(x), GradientCheckOptions{});
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
