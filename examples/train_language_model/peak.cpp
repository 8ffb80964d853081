// SPDX-License-Identifier: MIT

#include "peak.hpp"

#include <eigenformer/kernels/simd/target.hpp>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#define EIGENFORMER_KERNEL <train_language_model/peak.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {
namespace {

float multiply_add_rounds(Index rounds, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, multiply_add_rounds(rounds));
}
Index operations_of_round(InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, operations_of_round());
}

}  // namespace
}  // namespace eigenformer::inline EIGENFORMER_ABI

double peak_operations_per_second(eigenformer::Context& context) {
  namespace ef = eigenformer;
  using Clock = std::chrono::steady_clock;
  constexpr int runs = 100;
  constexpr ef::Index rounds = 250'000;  // less than a millisecond, so that some runs go without a pause by the system
  const ef::InstructionSet instruction_set = context.instruction_set();
  const double operations = static_cast<double>(rounds * ef::operations_of_round(instruction_set));
  std::vector<double> best(static_cast<std::size_t>(context.threads()));
  context.parallel_for(context.threads(), operations * runs * context.threads(), [&](ef::Index thread) {
    double& rate = best[static_cast<std::size_t>(thread)];
    for (int run = 0; run < runs; ++run) {
      const Clock::time_point start = Clock::now();
      const float sum = ef::multiply_add_rounds(rounds, instruction_set);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      if (sum > 0) rate = (std::max)(rate, operations / seconds);  // looked at, so that nothing is left out
    }
  });
  return std::accumulate(best.begin(), best.end(), 0.0);
}
