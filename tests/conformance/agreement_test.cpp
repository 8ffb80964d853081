// SPDX-License-Identifier: MIT
// Threads, instruction sets and precisions agree.

#include "conformance/property.hpp"

namespace {

using conformance::large;
using conformance::small;
using conformance::Start;
using conformance::Step;
namespace ef = eigenformer;

CONFORMANCE_SUITE(Agreement);

CONFORMANCE(Agreement, bits_do_not_depend_on_the_number_of_threads) {
  Start<T> start(row, large);
  const Step<T> expected = step_of(*start.subject, start.x, start.dy, large, start.context);
  for (const int threads : {2, 3}) {
    ef::Context context({.threads = threads});
    for (int again = 0; again < 2; ++again) {
      EXPECT_TRUE(same(step_of(*start.subject, start.x, start.dy, large, context), expected)) << threads << " threads";
    }
  }
}

CONFORMANCE(Agreement, instruction_sets_agree) {
  Start<T> start(row);
  ef::Context portable({.instruction_set = ef::InstructionSet::portable});
  const Step<T> expected = step_of(*start.subject, start.x, start.dy, small, portable);
  int compared = 0;
  for (const ef::InstructionSet instruction_set : ef::all_instruction_sets) {
    if (!ef::available(instruction_set)) continue;
    ef::Context context({.instruction_set = instruction_set});
    const Step<T> step = step_of(*start.subject, start.x, start.dy, small, context);
    expect_close<T>(step, expected, *start.subject);
    ++compared;
  }
  EXPECT_GE(compared, 1);
}

struct Precision : testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Every, Precision, testing::Range(std::size_t(0), conformance::rows<float>().size()),
                         [](const auto& tested) { return conformance::rows<float>()[tested.param].name; });

TEST_P(Precision, float_is_close_to_double) {
  Start<float> single(conformance::rows<float>()[GetParam()]);
  Start<double> twice(conformance::rows<double>()[GetParam()]);
  const auto from = single.subject->parameters();
  const auto to = twice.subject->parameters();
  ASSERT_EQ(from.size(), to.size());
  for (std::size_t i = 0; i < from.size(); ++i)
    std::copy(from[i].values.begin(), from[i].values.end(), to[i].values.begin());
  const auto half = single.subject->stored_halves();
  const auto same_half = twice.subject->stored_halves();
  ASSERT_EQ(half.size(), same_half.size());
  for (std::size_t i = 0; i < half.size(); ++i)
    std::copy(half[i].bits.begin(), half[i].bits.end(), same_half[i].bits.begin());
  twice.x.assign(single.x.begin(), single.x.end());
  twice.dy.assign(single.dy.begin(), single.dy.end());
  const Step<float> step = step_of(*single.subject, single.x, single.dy, small, single.context);
  const Step<double> expected = step_of(*twice.subject, twice.x, twice.dy, small, twice.context);
  expect_close<float>(step, expected, *single.subject);
}

}  // namespace
