#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/attention_plan.hpp>
#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/attention.hpp>

#include <limits>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What backward starts from: the results of forward and the gradient that comes in.
template <class T>
struct AttentionUpstream {
  ConstHeadsView<T> y;
  ConstHeadsView<T> dy;
  const T* log_sum_exp = nullptr;
};

/// What backward writes: views of the shapes of the inputs.
template <class T>
struct AttentionGradients {
  HeadsView<T> query;
  std::span<const KeyValueGradient<T>> segments;
  T* bias = nullptr;   ///< as the bias of the inputs lies, summed over the batch; null if it is not wanted
  T* sinks = nullptr;  ///< [H], summed over the batch; null if it is not wanted
};

namespace detail {

template <class T>
void check_attention_gradients(const AttentionInputs<T>& inputs, const AttentionUpstream<T>& upstream,
                               const AttentionGradients<T>& gradients) {
  require_shape(upstream.y.shape(), upstream.dy.shape(), "attention_backward", "dy");
  require_shape(inputs.query.shape(), gradients.query.shape(), "attention_backward", "dquery");
  require<ValueError>(upstream.log_sum_exp != nullptr || inputs.query.shape().size() == 0, "attention_backward",
                      "expected the log_sum_exp of forward, got null");
  require<ValueError>(gradients.bias == nullptr || !inputs.bias.empty(), "attention_backward",
                      "expected the bias that a gradient is asked of, got none");
  require<ValueError>(gradients.sinks == nullptr || !inputs.sinks.empty(), "attention_backward",
                      "expected the sinks that a gradient is asked of, got none");
  require<ValueError>(inputs.first_segment.empty(), "attention_backward",
                      "expected segments that all sequences share, got first_segment");
  require(inputs.segments.size() == gradients.segments.size(), "attention_backward", "expected gradients of ",
          inputs.segments.size(), " segments, got ", gradients.segments.size());
  for (std::size_t i = 0; i < inputs.segments.size(); ++i) {
    require_shape(inputs.segments[i].keys.shape(), gradients.segments[i].keys.shape(), "attention_backward", "dkeys");
    require_shape(inputs.segments[i].values.shape(), gradients.segments[i].values.shape(), "attention_backward",
                  "dvalues");
  }
}

/// to[t] = sum of parts[i][t] over the query heads that share a key/value head, in their order.
///   parts: [count, T, stride]    to: the key/value head `head` of batch `batch`, over all segments
template <class T, class View>
void gather_gradient(const T* parts, Index count, Index part_size, Index stride, const AttentionGradients<T>& gradients,
                     View KeyValueGradient<T>::*view, Index batch, Index head) {
  Index key = 0;
  for (const KeyValueGradient<T>& segment : gradients.segments) {
    const View& to = segment.*view;
    for (Index t = 0; t < to.length(); ++t, ++key) {
      T* const row = to.at(batch, t, head);
      std::copy_n(parts + key * stride, to.head_dim(), row);
      for (Index i = 1; i < count; ++i) {
        const T* const part = parts + i * part_size + key * stride;
        for (Index e = 0; e < to.head_dim(); ++e) row[e] += part[e];
      }
    }
  }
}

/// A task is the query heads that share a key/value head where there are enough such groups to keep threads busy, else
/// one query head; that depends on the shapes alone. The gradients of one key/value head are added up in the order of
/// heads.
template <class T>
void run_attention_backward(kernels::AttentionProblem<T> problem, const ScoreBias<T>& bias,
                            const AttentionUpstream<T>& upstream, const AttentionGradients<T>& gradients,
                            ScratchScope& scope, Context& context) {
  constexpr Index enough_tasks = 8;
  const Index groups = problem.query.batch() * problem.kv_heads;
  const Index parts = groups >= enough_tasks ? 1 : problem.group();
  const Index heads = problem.group() / parts;
  const Index key_stride = kernels::attention_padded(problem.query.head_dim());
  const Index value_stride = kernels::attention_padded(problem.value_dim);
  const Index rows = problem.keys + kernels::attention_key_tile;
  const ScoreBiasLayout<T> bias_layout(bias, heads);
  T* dbias = nullptr;  // of each batch
  if (!bias.empty()) problem.bias = bias_rows(bias_layout, scope);
  if (kernels::seeded_bug == 19) ++problem.dropout.seed;
  if (gradients.bias != nullptr) {
    dbias = scope.take<T>(bias_layout.size() * problem.query.batch());
    std::fill_n(dbias, bias_layout.size() * problem.query.batch(), T(0));
  }
  const InstructionSet set = context.instruction_set();
  const Index memory_size = kernels::attention_padded(
      kernels::attention_backward_scratch<T>(problem.query.head_dim(), problem.value_dim, set));
  T* const memory = scope.take<T>(memory_size * context.threads());
  // One part is put into place by the task that made it, so that a buffer for each worker is enough.
  const Index buffers = parts == 1 ? static_cast<Index>(context.threads()) : groups * parts;
  T* const dkeys = scope.take<T>(buffers * rows * key_stride);
  T* const dvalues = scope.take<T>(buffers * rows * value_stride);
  const auto gather = [&](Index group, Index buffer) {
    const Index batch = group / problem.kv_heads;
    const Index head = group % problem.kv_heads;
    gather_gradient(dkeys + buffer * rows * key_stride, parts, rows * key_stride, key_stride, gradients,
                    &KeyValueGradient<T>::keys, batch, head);
    gather_gradient(dvalues + buffer * rows * value_stride, parts, rows * value_stride, value_stride, gradients,
                    &KeyValueGradient<T>::values, batch, head);
  };
  const double operations = 2.5 * attention_operations(problem) + static_cast<double>(groups * parts * rows);
  context.parallel_for_workers(groups * parts, operations, [&](Index i, Index worker) {
    const Index group = i / parts;
    const Index buffer = parts == 1 ? worker : i;
    kernels::AttentionTask task;
    task.batch = group / problem.kv_heads;
    task.kv_head = group % problem.kv_heads;
    task.first_head = task.kv_head * problem.group() + i % parts * heads;
    task.heads = heads;
    task.columns = problem.query.length() * heads;
    task.keys = {0, problem.keys};
    kernels::AttentionGradient<T> gradient{upstream.y, upstream.dy, upstream.log_sum_exp, gradients.query};
    if (dbias != nullptr) gradient.dbias = dbias + task.batch * bias_layout.size() + bias_layout.origin();
    kernels::attention_backward<T>(problem, gradient, task,
                                   {dkeys + buffer * rows * key_stride, dvalues + buffer * rows * value_stride},
                                   memory + worker * memory_size, set);
    if (parts == 1) gather(group, worker);
  });
  if (dbias != nullptr) bias_layout.gather(dbias, problem.query.batch(), gradients.bias);
  if (parts == 1) return;
  context.parallel_for(groups, static_cast<double>(groups * parts * rows * (key_stride + value_stride)),
                       [&](Index group) { gather(group, group * parts); });
}

/// dsink = -sum over batch and queries of exp(sink - log_sum_exp) dy . y, for each head in that order.
template <class T>
void run_sinks_backward(std::span<const T> sinks, const AttentionUpstream<T>& upstream, T* dsinks, Context& context) {
  const ConstHeadsView<T>& y = upstream.y;
  const double operations = static_cast<double>(y.batch() * y.heads() * y.length() * (y.head_dim() + 20));
  context.parallel_for(y.heads(), operations, [&](Index h) {
    T sum = 0;
    for (Index b = 0; b < y.batch(); ++b) {
      for (Index s = 0; s < y.length(); ++s) {
        const T* const row = y.at(b, s, h);
        const T* const drow = upstream.dy.at(b, s, h);
        T delta = 0;
        for (Index e = 0; e < y.head_dim(); ++e) delta += drow[e] * row[e];
        const T z = upstream.log_sum_exp[(b * y.heads() + h) * y.length() + s];
        if (z < std::numeric_limits<T>::lowest()) continue;  // neither a key nor the sink is seen
        sum -= std::exp(sinks[static_cast<std::size_t>(h)] - z) * delta;
      }
    }
    dsinks[h] = sum;
  });
}

}  // namespace detail

/// Gradients of attention, with the scores made again tile by tile and never held (Dao et al. 2022, algorithm 4). With
/// p = exp(score - log_sum_exp), dp = dy v^T and delta = dy . y:
///   dv = p^T dy,   dbias = p (dp - delta),   ds = dbias cap'(score),   dq = softmax_scale ds k,
///   dk = softmax_scale ds^T q,   dsink = -exp(sink - log_sum_exp) delta
/// With dropout, what it drops and multiplies is drawn again: in dv of p, and of dp everywhere.
/// The gradients given are overwritten. A query that sees no key has none, and neither has a key that no query sees;
/// what such keys and values hold does not matter.
///   throws ShapeError for shapes that do not fit, ValueError if log_sum_exp is null, and what attention throws
template <class T, AttentionMask Mask>
void attention_backward(const AttentionInputs<T>& inputs, const AttentionUpstream<T>& upstream,
                        const AttentionGradients<T>& gradients, const Mask& mask, const AttentionOptions& options,
                        Context& context) {
  detail::check_attention(inputs, upstream.y.shape(), mask, options);
  detail::check_attention_gradients(inputs, upstream, gradients);
  const ProfileScope profile(context, "attention backward");
  ScratchScope scope(context.scratch());
  detail::run_attention_backward(detail::attention_problem(inputs, mask, options, scope), inputs.bias, upstream,
                                 gradients, scope, context);
  if (gradients.sinks != nullptr) detail::run_sinks_backward(inputs.sinks, upstream, gradients.sinks, context);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
