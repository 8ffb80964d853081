#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/attention_decoding.hpp>
#include <eigenformer/attention/attention_plan.hpp>
#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/attention.hpp>

#include <limits>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What attention writes.
///   y: [B, S, H, d_v]    log_sum_exp: [B, H, S] if not null, for backward
template <class T>
struct AttentionOutputs {
  HeadsView<T> y;
  T* log_sum_exp = nullptr;
};

namespace detail {

template <class T>
void run_attention(const kernels::AttentionProblem<T>& problem, const AttentionOutputs<T>& outputs, ScratchScope& scope,
                   Context& context) {
  if (DecodingPlan::suits(problem)) {
    kernels::AttentionResult<T> result{outputs.y, outputs.log_sum_exp};
    result.factor = problem.dropout.factor;
    return run_decoding<T>(problem, result, scope, context);
  }
  const AttentionPlan plan(problem);
  const Index rows = problem.query.batch() * problem.kv_heads * plan.tiles;
  if (rows == 0) return;
  const InstructionSet set = context.instruction_set();
  const Index tile = plan.tile_columns;
  const Index dim = problem.value_dim;
  const Index memory_size =
      kernels::attention_padded(kernels::attention_forward_scratch<T>(problem.query.head_dim(), dim, set));
  T* const memory = scope.take<T>(memory_size * context.threads());
  const bool split = plan.splits > 1;
  T* const parts = split ? scope.take<T>(rows * plan.splits * tile * (dim + 2)) : nullptr;
  const auto result_of = [&](Index row) {
    kernels::AttentionResult<T> result{outputs.y, outputs.log_sum_exp};
    result.factor = problem.dropout.factor;
    if (!split) return result;
    result.part_rows = parts + row * plan.splits * tile * (dim + 2);
    result.part_maximum = result.part_rows + plan.splits * tile * dim;
    result.part_sum = result.part_maximum + plan.splits * tile;
    return result;
  };
  const auto task_of = [&](Index row, Index part) {
    const Index query_tile = plan.tiles - 1 - row % plan.tiles;  // under a causal mask the last have most to do
    const Index head = row / plan.tiles;
    return plan.task(head / problem.kv_heads, head % problem.kv_heads, query_tile, part, problem.keys);
  };
  context.parallel_for_workers(rows * plan.splits, attention_operations(problem), [&](Index i, Index worker) {
    // All heads of one part of the context before the next part: their rows lie side by side, in the same pages.
    const Index row = i % rows;
    const Index part = i / rows;
    const kernels::AttentionTask task = task_of(row, part);
    kernels::AttentionResult<T> result = result_of(row);
    if (split) {
      result.part_rows += part * task.columns * dim;
      result.part_maximum += part * task.columns;
      result.part_sum += part * task.columns;
    }
    kernels::attention_forward<T>(problem, task, result, memory + worker * memory_size, set);
  });
  if (!split) return;
  const double operations = 2.0 * static_cast<double>(rows * plan.splits * (std::min)(tile, plan.columns) * dim);
  context.parallel_for(rows, operations, [&](Index row) {
    kernels::attention_combine<T>(task_of(row, 0), result_of(row), plan.splits, dim, set);
  });
}

/// The sink takes its part of each head's weights: with z = log_sum_exp,  y *= 1 / (1 + exp(sink - z)),
/// z = log(exp(z) + exp(sink)).
template <class T>
void run_sinks(std::span<const T> sinks, const AttentionOutputs<T>& outputs, Context& context) {
  const HeadsView<T>& y = outputs.y;
  const double operations = static_cast<double>(y.batch() * y.heads() * y.length() * (y.head_dim() + 40));
  context.parallel_for(y.batch() * y.heads(), operations, [&](Index i) {
    const Index b = i / y.heads(), h = i % y.heads();
    const T sink = sinks[static_cast<std::size_t>(h)];
    for (Index s = 0; s < y.length(); ++s) {
      T& z = outputs.log_sum_exp[i * y.length() + s];
      T* const row = y.at(b, s, h);
      if (z < std::numeric_limits<T>::lowest()) {  // no key is seen
        z = sink;
        continue;
      }
      const T smaller = sink > z ? std::exp(z - sink) : std::exp(sink - z);
      const T share = (sink > z ? smaller : T(1)) / (1 + smaller);
      z = (sink > z ? sink : z) + std::log1p(smaller);
      if (kernels::seeded_bug == 12) continue;
      Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>(row, y.head_dim()) *= share;
    }
  });
}

}  // namespace detail

/// y = dropout(softmax(mask(cap(softmax_scale q k^T) + bias))) v, row by row (Vaswani et al. 2017, equation 1), in that
/// order: scale, softcap, bias, mask, softmax with its sinks, dropout of weights, which a row's sum of 1 is made without.
/// What is dropped depends on the seed, batch, query head, query and key alone, and not on how these are cut into
/// tiles, segments or tasks. Scores are made and used tile by tile and never held; tiles that the mask leaves empty are
/// skipped. A query that sees no key yields zeros and a log-sum-exp of -infinity. A score of NaN or +infinity makes its
/// own row NaN and no other; keys and values that a row does not see leave no trace in it, NaN or not.
///   throws ShapeError for shapes that do not fit, OptionError for a negative softcap, and what the mask throws
template <class T, AttentionMask Mask>
void attention(const AttentionInputs<T>& inputs, const AttentionOutputs<T>& outputs, const Mask& mask,
               const AttentionOptions& options, Context& context) {
  detail::check_attention(inputs, outputs.y.shape(), mask, options);
  const ProfileScope profile(context, "attention");
  ScratchScope scope(context.scratch());
  kernels::AttentionProblem<T> problem = detail::attention_problem(inputs, mask, options, scope);
  if (!inputs.bias.empty()) {
    problem.bias = detail::bias_rows(detail::ScoreBiasLayout<T>(inputs.bias, problem.group()), scope);
  }
  AttentionOutputs<T> kept = outputs;
  if (!inputs.sinks.empty() && kept.log_sum_exp == nullptr) {
    kept.log_sum_exp = scope.take<T>(inputs.query.batch() * inputs.query.heads() * inputs.query.length());
  }
  detail::run_attention(problem, kept, scope, context);
  if (!inputs.sinks.empty()) detail::run_sinks(inputs.sinks, kept, context);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
