// SPDX-License-Identifier: MIT
// Where numbers lie, what lay there before, and how much memory a call takes.

#include "conformance/property.hpp"
#include "support/allocation.hpp"

namespace {

using conformance::Extent;
using conformance::Index;
using conformance::large;
using conformance::output_of;
using conformance::small;
using conformance::Start;
using conformance::Step;
namespace ef = eigenformer;

CONFORMANCE_SUITE(Memory);

CONFORMANCE(Memory, writes_all_of_its_outputs) {
  Start<T> start(row);
  const Step<T> step = step_of(*start.subject, start.x, start.dy, small, start.context);
  EXPECT_TRUE(support::all_finite(step.y));
  EXPECT_TRUE(support::all_finite(step.dx));
  for (const auto& gradient : step.gradients) EXPECT_TRUE(support::all_finite(gradient));
}

CONFORMANCE(Memory, is_the_same_at_any_alignment_and_writes_nothing_else) {
  Start<T> start(row);
  const Step<T> expected = step_of(*start.subject, start.x, start.dy, small, start.context);
  int offsets = 0;
  for (Index offset = 0; offset < support::alignment_offsets; ++offset) {
    const auto size = [](const std::vector<T>& numbers) { return static_cast<Index>(numbers.size()); };
    support::GuardedBuffer<T> x(size(start.x), offset);
    support::GuardedBuffer<T> y(size(expected.y), (offset * 3 + 1) % support::alignment_offsets);
    support::GuardedBuffer<T> dy(size(start.dy), (offset * 5 + 2) % support::alignment_offsets);
    support::GuardedBuffer<T> dx(size(expected.dx), (offset * 7 + 3) % support::alignment_offsets);
    std::copy(start.x.begin(), start.x.end(), x.data());
    std::copy(start.dy.begin(), start.dy.end(), dy.data());
    clear_gradients(*start.subject);
    start.subject->forward_with_cache(x.data(), y.data(), small, start.context);
    start.subject->backward(dy.data(), dx.data(), small, start.context);
    if (!start.subject->differentiable()) std::fill(dx.begin(), dx.end(), T(0));
    Step<T> step = {{y.begin(), y.end()}, {dx.begin(), dx.end()}, {}};
    for (const auto& parameter : start.subject->parameters()) {
      step.gradients.emplace_back(parameter.gradients.begin(), parameter.gradients.end());
    }
    EXPECT_TRUE(same(step, expected)) << "offset " << offset;
    EXPECT_TRUE(support::bit_equal(std::vector<T>(x.begin(), x.end()), start.x)) << "x was written";
    EXPECT_TRUE(support::bit_equal(std::vector<T>(dy.begin(), dy.end()), start.dy)) << "dy was written";
    EXPECT_TRUE(x.untouched_outside() && y.untouched_outside() && dy.untouched_outside() && dx.untouched_outside());
    ++offsets;
  }
  EXPECT_EQ(offsets, 16);
}

CONFORMANCE(Memory, token_wise_blocks_take_rows_apart) {
  Start<T> start(row);
  if (!start.subject->tokenwise()) GTEST_SKIP() << "not token-wise";
  const Step<T> expected = step_of(*start.subject, start.x, start.dy, small, start.context);
  const Index rows = small.tokens();
  const Index in = start.subject->in_features();
  const Index out = start.subject->out_features();
  for (const Index gap : {Index(1), Index(4), Index(13)}) {
    support::GuardedRows<T> x(rows, in, in + gap);
    support::GuardedRows<T> y(rows, out, out + gap + 1);
    support::GuardedRows<T> dy(rows, out, out + gap + 2);
    support::GuardedRows<T> dx(rows, in, in + gap + 3);
    for (Index n = 0; n < rows; ++n) {
      std::copy_n(start.x.data() + n * in, in, &x(n, 0));
      std::copy_n(start.dy.data() + n * out, out, &dy(n, 0));
    }
    clear_gradients(*start.subject);
    start.subject->forward_strided(x.data(), x.row_stride(), y.data(), y.row_stride(), rows, start.context);
    start.subject->backward_strided(dy.data(), dy.row_stride(), dx.data(), dx.row_stride(), rows, start.context);
    Step<T> step;
    for (Index n = 0; n < rows; ++n) {
      step.y.insert(step.y.end(), &y(n, 0), &y(n, 0) + out);
      step.dx.insert(step.dx.end(), &dx(n, 0), &dx(n, 0) + in);
    }
    for (const auto& parameter : start.subject->parameters()) {
      step.gradients.emplace_back(parameter.gradients.begin(), parameter.gradients.end());
    }
    EXPECT_TRUE(same(step, expected)) << "gap " << gap;
    EXPECT_TRUE(y.untouched_outside());
    EXPECT_TRUE(dx.untouched_outside());
  }
}

CONFORMANCE(Memory, does_not_read_what_scratch_memory_held) {
  Start<T> start(row);
  const Step<T> expected = step_of(*start.subject, start.x, start.dy, small, start.context);
  const auto size = [](const std::vector<T>& numbers) { return numbers.size(); };
  std::vector<T> y(size(expected.y));
  std::vector<T> dx(size(expected.dx));
  clear_gradients(*start.subject);
  start.context.scratch().poison();
  start.subject->forward_with_cache(start.x.data(), y.data(), small, start.context);
  start.context.scratch().poison();
  start.subject->backward(start.dy.data(), dx.data(), small, start.context);
  EXPECT_TRUE(support::bit_equal(y, expected.y));
  if (start.subject->differentiable()) {
    EXPECT_TRUE(support::bit_equal(dx, expected.dx));
  }
  std::size_t i = 0;
  for (const auto& parameter : start.subject->parameters()) {
    EXPECT_TRUE(support::bit_equal(
        parameter.gradients, std::span<T>(const_cast<T*>(expected.gradients[i].data()), expected.gradients[i].size())))
        << parameter.name;
    ++i;
  }
  start.context.scratch().poison();
  EXPECT_TRUE(support::bit_equal(output_of(*start.subject, start.x, small, start.context), expected.y));
}

CONFORMANCE(Memory, other_shapes_in_between_leave_no_trace) {
  Start<T> start(row);
  const Step<T> expected = step_of(*start.subject, start.x, start.dy, small, start.context);
  for (const Extent other : {Extent{5, 17}, Extent{1, 1}, Extent{2, 3}}) {
    const std::vector<T> x = start.subject->input(other, start.random);
    const std::vector<T> dy = support::normal<T>(other.tokens() * start.subject->out_features(), start.random);
    step_of(*start.subject, x, dy, other, start.context);
    EXPECT_TRUE(same(step_of(*start.subject, start.x, start.dy, small, start.context), expected));
  }
}

CONFORMANCE(Memory, takes_extents_of_one_and_none) {
  Start<T> start(row);
  for (const Extent extent : {Extent{1, 1}, Extent{1, 7}, Extent{7, 1}, Extent{0, 5}, Extent{5, 0}, Extent{0, 0}}) {
    const std::vector<T> x = start.subject->input(extent, start.random);
    const std::vector<T> dy(static_cast<std::size_t>(extent.tokens() * start.subject->out_features()), T(1));
    const Step<T> step = step_of(*start.subject, x, dy, extent, start.context);
    EXPECT_TRUE(support::all_finite(step.y));
    EXPECT_TRUE(support::all_finite(step.dx));
    for (const auto& gradient : step.gradients) {
      EXPECT_FALSE(gradient.empty());
      for (const T value : gradient) {
        ASSERT_TRUE(support::is_finite(static_cast<double>(value)));
        if (extent.tokens() == 0) {
          ASSERT_EQ(value, T(0));
        }
      }
    }
    EXPECT_EQ(start.subject->call_operator(x.data(), extent).size(), step.y.size());
  }
}

CONFORMANCE(Memory, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  Start<T> start(row, large);
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    Step<T> step = step_of(*start.subject, start.x, start.dy, large, context);
    start.subject->forward(start.x.data(), step.y.data(), large, context);
    EXPECT_EQ(
        support::allocations_during([&] { start.subject->forward(start.x.data(), step.y.data(), large, context); }), 0U)
        << "forward without a cache, " << threads << " threads";
    EXPECT_EQ(support::allocations_during([&] {
                start.subject->forward_with_cache(start.x.data(), step.y.data(), large, context);
                start.subject->backward(start.dy.data(), step.dx.data(), large, context);
              }),
              0U)
        << "forward and backward, " << threads << " threads";
    // A smaller shape finds room in what the larger one took.
    EXPECT_EQ(support::allocations_during([&] {
                start.subject->forward_with_cache(start.x.data(), step.y.data(), small, context);
                start.subject->backward(start.dy.data(), step.dx.data(), small, context);
              }),
              0U)
        << "a smaller shape, " << threads << " threads";
  }
}

}  // namespace
