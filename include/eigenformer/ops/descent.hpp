#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/descent.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {
/// Elements that one thread updates at a time: what it reads and writes of them fits the first two levels of cache.
inline constexpr Index descent_chunk = 8192;

/// Calls body(first, count) for consecutive runs of elements, on all threads.
template <class Body>
void for_chunks(Index size, double operations_each, Context& context, const Body& body) {
  const Index chunks = (size + descent_chunk - 1) / descent_chunk;
  context.parallel_for(chunks, operations_each * static_cast<double>(size), [&](Index chunk) {
    const Index first = chunk * descent_chunk;
    body(first, (std::min)(descent_chunk, size - first));
  });
}
}  // namespace detail

/// What AdamW is told for step t = 1, 2, ...
struct AdamWStep {
  double learning_rate;
  double beta1;
  double beta2;
  double epsilon;
  double weight_decay;
  double t;  ///< number of the step, from 1
};

/// Loshchilov & Hutter 2019, algorithm 2, with the decay multiplied by the learning rate as in PyTorch:
///   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2,
///   p = (1 - learning_rate weight_decay) p - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
///   p, g, m, v: [n]
template <class T>
void adamw_update(std::span<T> p, std::span<const T> g, std::span<T> m, std::span<T> v, const AdamWStep& step,
                  Context& context) {
  const double correction1 = 1 - std::pow(step.beta1, step.t);
  const double correction2 = 1 - std::pow(step.beta2, step.t);
  const kernels::AdamWUpdate<T> update{static_cast<T>(1 - step.learning_rate * step.weight_decay),
                                       static_cast<T>(step.beta1),
                                       static_cast<T>(1 - step.beta1),
                                       static_cast<T>(step.beta2),
                                       static_cast<T>(1 - step.beta2),
                                       static_cast<T>(1 / std::sqrt(correction2)),
                                       static_cast<T>(step.epsilon),
                                       static_cast<T>(step.learning_rate / correction1)};
  detail::for_chunks(static_cast<Index>(p.size()), 30, context, [&](Index first, Index count) {
    kernels::adamw_update(p.data() + first, g.data() + first, m.data() + first, v.data() + first, count, update,
                          context.instruction_set());
  });
}

/// Which way gradient descent goes: along the velocity (Polyak 1964), or along the gradient that Nesterov's method
/// would see one step ahead (Sutskever et al. 2013, in PyTorch's form).
enum class Momentum { classical, nesterov };

/// What gradient descent is told for one step. `dampening` counts only from the second step on, as in PyTorch.
struct SgdStep {
  double learning_rate;
  double momentum;
  double dampening;
  double weight_decay;
  Momentum kind;
};

/// d = g + weight_decay p,   u = momentum u + (1 - dampening) d,
/// p -= learning_rate u (classical),   p -= learning_rate (d + momentum u) (nesterov).
/// An empty u means no momentum: p -= learning_rate d.
///   p, g, u: [n]
template <class T>
void sgd_update(std::span<T> p, std::span<const T> g, std::span<T> u, const SgdStep& step, Context& context) {
  const bool plain = u.empty();
  const bool ahead = step.kind == Momentum::nesterov;
  const kernels::SgdUpdate<T> update{static_cast<T>(step.weight_decay),
                                     static_cast<T>(step.momentum),
                                     static_cast<T>(1 - step.dampening),
                                     static_cast<T>(plain || ahead ? 1 : 0),
                                     static_cast<T>(plain   ? 0
                                                    : ahead ? step.momentum
                                                            : 1),
                                     static_cast<T>(step.learning_rate)};
  detail::for_chunks(static_cast<Index>(p.size()), 15, context, [&](Index first, Index count) {
    kernels::sgd_update(p.data() + first, g.data() + first, plain ? nullptr : u.data() + first, count, update,
                        context.instruction_set());
  });
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
