#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/rows.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

// How rows are cut into tasks for threads. Where the cuts are depends on the shape alone, so that sums over rows, which
// are taken task by task, have the same bits for any number of threads.

/// Elements that one task takes: enough to pay for handing it out, few enough to share the work evenly.
inline constexpr Index task_elements = 16384;

/// An array of more bytes than this does not stay in the cache until it is needed again.
inline constexpr Index kept_in_cache = Index(1) << 22;

/// Where arrays of so many elements are to be found.
template <class T>
kernels::Home home_of(Index elements) {
  return elements * static_cast<Index>(sizeof(T)) > kept_in_cache ? kernels::Home::memory : kernels::Home::cache;
}

/// Calls body(first, count) for blocks of rows, in parallel. `cost` is the scalar operations that an element takes.
template <class Body>
void for_each_row_block(Index rows, Index features, double cost, Context& context, const Body& body) {
  const Index block = (std::max)(Index(1), task_elements / (std::max)(Index(1), features));
  const double operations = cost * static_cast<double>(rows) * static_cast<double>(features);
  context.parallel_for((rows + block - 1) / block, operations,
                       [&](Index i) { body(i * block, (std::min)(block, rows - i * block)); });
}

/// Calls body(row, begin, count) for pieces of rows that together are every element, in parallel. Views without gaps
/// are taken as one long row 0.
template <class Body, class View, class... Views>
void for_each_piece(double cost, Context& context, const Body& body, const View& first, const Views&... others) {
  const bool one_row = first.stride() == first.features() && ((others.stride() == others.features()) && ...);
  const Index rows = one_row ? (std::min)(Index(1), first.rows()) : first.rows();
  const Index features = one_row ? first.rows() * first.features() : first.features();
  const Index pieces = (features + task_elements - 1) / task_elements;
  for_each_row_block(rows * pieces, (std::min)(features, task_elements), cost, context, [&](Index task, Index count) {
    for (Index i = task; i < task + count; ++i) {
      const Index begin = i % pieces * task_elements;
      body(i / pieces, begin, (std::min)(task_elements, features - begin));
    }
  });
}

/// The address of element [row, begin] of a view.
template <class View>
auto* at(View& view, Index row, Index begin = 0) {
  return view.data() + row * view.stride() + begin;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
