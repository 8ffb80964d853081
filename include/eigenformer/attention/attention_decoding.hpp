#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/attention_plan.hpp>
#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/attention.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// How attention of few queries is cut into tasks: several key/value heads, all if they are not too many, over one part
/// of the context. It depends on the shapes alone, never on the number of threads, so that the results do not either.
struct DecodingPlan {
  Index heads = 1;     ///< query heads that share a key/value head
  Index columns = 0;   ///< of a key/value head
  Index kv_heads = 1;  ///< of a task
  Index groups = 0;    ///< tasks along the key/value heads
  Index splits = 1;    ///< tasks along the keys
  Index split_keys = 0;

  /// Whether there are so few queries that reading keys and values is all the work.
  template <class T>
  static bool suits(const kernels::AttentionProblem<T>& problem) {
    return problem.pattern.keys == nullptr &&
           problem.query.length() * problem.group() <= kernels::attention_few_columns;
  }

  template <class T>
  explicit DecodingPlan(const kernels::AttentionProblem<T>& problem) {
    constexpr Index enough_tasks = 16;
    constexpr Index tile = kernels::attention_decode_tile;
    heads = problem.group();
    columns = problem.query.length() * heads;
    // All heads, as memory has them side by side, unless queries and sums would not stay in the second cache.
    constexpr Index most_features = 32768;
    kv_heads = problem.kv_heads;
    const Index features = columns * (std::max)(problem.query.head_dim(), problem.value_dim);
    while (kv_heads * features > most_features && kv_heads % 2 == 0) kv_heads /= 2;
    groups = problem.kv_heads / kv_heads;
    split_keys = (std::max)(problem.keys, Index(1));
    const Index wanted = ceiling(enough_tasks, (std::max)(problem.query.batch() * groups, Index(1)));
    if (wanted == 1 || problem.keys <= 2 * tile) return;
    split_keys = ceiling(ceiling(problem.keys, wanted), tile) * tile;
    splits = ceiling(problem.keys, split_keys);
  }

  /// Task of one batch and group of key/value heads over the keys of one split.
  kernels::AttentionTask task(Index batch, Index group, Index split, Index keys) const {
    kernels::AttentionTask result;
    result.batch = batch;
    result.kv_head = group * kv_heads;
    result.kv_heads = kv_heads;
    result.first_head = result.kv_head * heads;
    result.heads = heads;
    result.columns = columns;
    result.keys = {split * split_keys, (std::min)(keys, (split + 1) * split_keys)};
    return result;
  }

 private:
  static Index ceiling(Index count, Index by) { return (count + by - 1) / by; }
};

/// Attention of a problem that DecodingPlan suits.
template <class T>
void run_decoding(const kernels::AttentionProblem<T>& problem, const kernels::AttentionResult<T>& result,
                  ScratchScope& scope, Context& context) {
  const DecodingPlan plan(problem);
  const Index tasks = problem.query.batch() * plan.groups;
  if (tasks * plan.columns == 0) return;
  const InstructionSet set = context.instruction_set();
  const Index dim = problem.value_dim;
  const auto task_of = [&](Index row, Index part) {
    return plan.task(row / plan.groups, row % plan.groups, part, problem.keys);
  };
  const Index memory_size = kernels::attention_padded(
      kernels::attention_decode_scratch<T>(task_of(0, 0), problem.query.head_dim(), dim, set));
  T* const memory = scope.take<T>(memory_size * context.threads());
  // Of each key/value head the parts' rows, their largest scores, their sums of weights.
  const Index columns = plan.splits * plan.columns;
  const Index size = columns * (dim + 2);
  T* const parts = plan.splits > 1 ? scope.take<T>(problem.query.batch() * problem.kv_heads * size) : nullptr;
  const auto result_of = [&](Index head, Index part) {
    kernels::AttentionResult<T> one = result;
    if (parts == nullptr) return one;
    one.part_stride = size;
    one.part_rows = parts + head * size + part * plan.columns * dim;
    one.part_maximum = parts + head * size + columns * dim + part * plan.columns;
    one.part_sum = one.part_maximum + columns;
    return one;
  };
  context.parallel_for_workers(tasks * plan.splits, attention_operations(problem), [&](Index i, Index worker) {
    const kernels::AttentionTask task = task_of(i % tasks, i / tasks);
    kernels::attention_decode<T>(problem, task, result_of(task.batch * problem.kv_heads + task.kv_head, i / tasks),
                                 memory + worker * memory_size, set);
  });
  if (parts == nullptr) return;
  const double operations = 2.0 * static_cast<double>(problem.query.batch() * problem.kv_heads * size);
  context.parallel_for(tasks, operations, [&](Index row) {
    const kernels::AttentionTask task = task_of(row, 0);
    for (Index head = 0; head < task.kv_heads; ++head) {
      const Index first = task.batch * problem.kv_heads + task.kv_head;
      kernels::attention_combine<T>(task.of_head(head), result_of(first + head, 0), plan.splits, dim, set);
    }
  });
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
