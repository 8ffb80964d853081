// SPDX-License-Identifier: MIT

#include "peak.hpp"

#include <eigenformer/kernels/simd/target.hpp>

#include <algorithm>
#include <chrono>
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
  constexpr int runs = 20;
  constexpr ef::Index rounds = 1'000'000;  // some milliseconds
  const double operations = static_cast<double>(rounds * ef::operations_of_round(context.instruction_set()));
  std::vector<float> results(static_cast<std::size_t>(context.threads()));
  double best = 0;
  for (int run = 0; run < runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    context.parallel_for(context.threads(), operations * context.threads(), [&](ef::Index thread) {
      results[static_cast<std::size_t>(thread)] = ef::multiply_add_rounds(rounds, context.instruction_set());
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = (std::max)(best, operations * context.threads() / seconds);
  }
  // The chains converge to 2 each; a result that is something else was not computed.
  return std::all_of(results.begin(), results.end(), [](float sum) { return sum > 0; }) ? best : 0;
}
