// SPDX-License-Identifier: MIT
// The kernels of attention beneath the functions that tests/attention judges: one task at a time.
#include <eigenformer/kernels/attention.hpp>

#include "reference/attention.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/core/tensor.hpp>

namespace {

namespace ef = eigenformer;
namespace kernels = ef::kernels;
using ef::Index;

/// The parts of a context, put together, are the attention over all of it; few columns and many take different ways.
TEST(AttentionKernel, parts_of_the_context_combine) {
  constexpr Index keys = 211;
  constexpr Index dim = 13;
  for (const Index queries : {1, 3, 8, 17, 89}) {
    support::Generator random(1);
    ef::Tensor<float, 4> q(1, queries, 1, dim);
    ef::Tensor<float, 4> k(1, keys, 1, dim);
    ef::Tensor<float, 4> v(1, keys, 1, dim);
    for (ef::Tensor<float, 4>* x : {&q, &k, &v}) support::fill(*x, support::Distribution::normal, random);
    const ef::KeyValueSegment<float> segments[] = {{k, v}};
    // The first query sees no key of the second part, the last none of the first.
    std::vector<ef::KeyRange> live(static_cast<std::size_t>(queries), {0, keys});
    live.front().last = 40;
    if (queries > 1) live.back().first = 130;
    kernels::AttentionProblem<float> problem;
    problem.query = q;
    problem.segments = segments;
    problem.live = live.data();
    problem.kv_heads = 1;
    problem.keys = keys;
    problem.value_dim = dim;
    problem.scale = 0.3F;
    reference::AttentionOptions options;
    options.scale = static_cast<double>(problem.scale);
    options.mask = [&](long, long s, long t) {
      const ef::KeyRange& range = live[static_cast<std::size_t>(s)];
      return t >= range.first && t < range.last;
    };
    const auto expected = reference::attention(reference::widened(q.data(), {1, queries, 1, dim}),
                                               reference::widened(k.data(), {1, keys, 1, dim}),
                                               reference::widened(v.data(), {1, keys, 1, dim}), options);
    for (const ef::InstructionSet set : ef::all_instruction_sets) {
      if (!ef::available(set)) continue;
      ef::Tensor<float, 4> y(1, queries, 1, dim);
      std::vector<float> log_sum_exp(static_cast<std::size_t>(queries));
      kernels::AttentionTask task;
      task.columns = queries;
      const bool few = queries <= kernels::attention_few_columns;
      const Index size = few ? kernels::attention_decode_scratch<float>(task, dim, dim, set)
                             : kernels::attention_forward_scratch<float>(dim, dim, set);
      std::vector<float> memory(static_cast<std::size_t>(size));
      std::vector<float> rows(static_cast<std::size_t>(3 * queries * dim));
      std::vector<float> maximum(static_cast<std::size_t>(3 * queries));
      std::vector<float> sum(static_cast<std::size_t>(3 * queries));
      const Index ends[] = {0, 64, 129, keys};
      for (Index part = 0; part < 3; ++part) {
        task.keys = {ends[part], ends[part + 1]};
        const kernels::AttentionResult<float> result{y, nullptr, &rows[static_cast<std::size_t>(part * queries * dim)],
                                                     &maximum[static_cast<std::size_t>(part * queries)],
                                                     &sum[static_cast<std::size_t>(part * queries)]};
        if (few) {
          kernels::attention_decode<float>(problem, task, result, memory.data(), set);
        } else {
          kernels::attention_forward<float>(problem, task, result, memory.data(), set);
        }
      }
      kernels::attention_combine<float>(task, {y, log_sum_exp.data(), rows.data(), maximum.data(), sum.data()}, 3, dim,
                                        set);
      SCOPED_TRACE(testing::Message() << queries << " queries, " << ef::name(set));
      const double limit = support::tolerance::attention_abs<float>(expected.largest_logit, expected.largest_value);
      EXPECT_TRUE(support::within(support::max_error(y, expected.out), limit));
      EXPECT_TRUE(support::within(support::max_error(log_sum_exp, expected.log_sum_exp), limit));
    }
  }
}

}  // namespace
