#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/core/rows.hpp>
#include <eigenformer/core/sequence_labels.hpp>

#include <span>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Rows that lie together.
struct RowRun {
  Index first = 0;  ///< the first of them
  Index count = 0;  ///< how many they are
};
/// Rows of a batch, in their order: what one adapter works on.
using RowRuns = std::span<const RowRun>;

/// How many rows they are.
inline Index row_count(RowRuns runs) {
  Index rows = 0;
  for (const RowRun& run : runs) rows += run.count;
  return rows;
}

/// Calls act(n, row) with the place of each row in the batch and among these.
template <class Act>
void for_rows(RowRuns runs, const Act& act) {
  Index row = 0;
  for (const RowRun& run : runs) {
    for (Index n = run.first; n < run.first + run.count; ++n) act(n, row++);
  }
}

/// The rows of the sequences of that label in a batch of `rows` rows; neighbours are one run.   memory: a run for each label
inline RowRuns runs_of(const SequenceLabels& labels, std::string_view label, Index rows, RowRun* memory,
                       std::string_view block) {
  std::size_t count = 0;
  labels.visit(rows, block, [&](std::string_view each, Index first, Index length) {
    if (each != label || length == 0) return;
    const bool goes_on = count > 0 && memory[count - 1].first + memory[count - 1].count == first;
    if (!goes_on) memory[count++] = {first, 0};
    memory[count - 1].count += length;
  });
  return {memory, count};
}

/// Some rows of x, one below the other: in place if they lie together, else copied to memory of the scope.
template <class T>
ConstRowsView<T> gathered(ConstRowsView<T> x, RowRuns runs, ScratchScope& scope) {
  if (runs.size() == 1) return x.middleRows(runs[0].first, runs[0].count);
  RowsView<T> rows = scope.rows<T>(row_count(runs), x.features());
  for_rows(runs, [&](Index n, Index row) { std::copy_n(x.row(n).data(), x.features(), rows.row(row).data()); });
  return rows;
}

/// Calls act(rows) with some rows of y, one below the other, and puts what it made of them in their places.
template <class T, class Act>
void on_rows(RowsView<T> y, RowRuns runs, Context& context, const Act& act) {
  ScratchScope scope(context.scratch());
  const ConstRowsView<T> rows = gathered<T>(y, runs, scope);
  act(RowsView<T>(const_cast<T*>(rows.data()), rows.rows(), rows.features(), rows.stride()));
  if (runs.size() == 1) return;
  for_rows(runs, [&](Index n, Index row) { std::copy_n(rows.row(row).data(), y.features(), y.row(n).data()); });
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
