#pragma once
// SPDX-License-Identifier: MIT

#include <cmath>
#include <vector>

namespace reference {

struct SgdOptions {
  double learning_rate = 0.01;
  double momentum = 0;
  double weight_decay = 0;
  bool nesterov = false;
};

/// As PyTorch's SGD without dampening:
///   g += weight_decay p,   m = momentum m + g,   p -= learning_rate (nesterov ? g + momentum m : m)
struct Sgd {
  SgdOptions options = {};
  std::vector<double> momentum = {};  ///< m, empty before the first step

  void step(std::vector<double>& p, const std::vector<double>& gradient) {
    momentum.resize(p.size(), 0.0);
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double g = gradient[i] + options.weight_decay * p[i];
      momentum[i] = options.momentum * momentum[i] + g;
      p[i] -= options.learning_rate * (options.nesterov ? g + options.momentum * momentum[i] : momentum[i]);
    }
  }
};

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;
};

/// Loshchilov & Hutter 2019, algorithm 2, with the decay multiplied by the learning rate as in PyTorch:
///   p *= 1 - learning_rate weight_decay,   m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2,
///   p -= learning_rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
struct AdamW {
  AdamWOptions options = {};
  long steps = 0;
  std::vector<double> m = {};
  std::vector<double> v = {};

  void step(std::vector<double>& p, const std::vector<double>& gradient) {
    m.resize(p.size(), 0.0);
    v.resize(p.size(), 0.0);
    ++steps;
    const double correction1 = 1 - std::pow(options.beta1, static_cast<double>(steps));
    const double correction2 = 1 - std::pow(options.beta2, static_cast<double>(steps));
    for (std::size_t i = 0; i < p.size(); ++i) {
      p[i] *= 1 - options.learning_rate * options.weight_decay;
      m[i] = options.beta1 * m[i] + (1 - options.beta1) * gradient[i];
      v[i] = options.beta2 * v[i] + (1 - options.beta2) * gradient[i] * gradient[i];
      p[i] -= options.learning_rate * (m[i] / correction1) / (std::sqrt(v[i] / correction2) + options.epsilon);
    }
  }
};

struct WarmupCosineOptions {
  double peak = 1e-3;
  double minimum = 0;
  long warmup_steps = 0;
  long total_steps = 1;
};

/// Learning rate of step 0, 1, ...: linear from peak / warmup_steps up to peak, which the last step of the warm-up
/// has; then half a cosine (Loshchilov & Hutter 2017, equation 5) from peak at step warmup_steps to minimum at
/// total_steps and after.
inline double warmup_cosine(long step, const WarmupCosineOptions& options) {
  if (step < options.warmup_steps) {
    return options.peak * static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps);
  }
  if (step >= options.total_steps) return options.minimum;
  const double progress = static_cast<double>(step - options.warmup_steps) /
                          static_cast<double>(options.total_steps - options.warmup_steps);
  return options.minimum + (options.peak - options.minimum) * (1 + std::cos(std::acos(-1.0) * progress)) / 2;
}

/// Multiplies all gradients by min(1, limit / norm), norm their common length (Pascanu et al. 2013, algorithm 1).
/// PyTorch divides by norm + 1e-6 instead; `guard` is that number. Returns the norm before clipping.
inline double clip_global_norm(std::vector<std::vector<double>>& gradients, double limit, double guard = 0) {
  double squares = 0;
  for (const std::vector<double>& gradient : gradients) {
    for (const double g : gradient) squares += g * g;
  }
  const double norm = std::sqrt(squares);
  const double factor = norm + guard > limit ? limit / (norm + guard) : 1;
  for (std::vector<double>& gradient : gradients) {
    for (double& g : gradient) g *= factor;
  }
  return norm;
}

}  // namespace reference
