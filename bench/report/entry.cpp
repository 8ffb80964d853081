// SPDX-License-Identifier: MIT

#include <report/entry.hpp>

#include <map>

namespace bench {

std::vector<Planned>& plan() {
  static std::vector<Planned> planned;
  return planned;
}

ef::Context& context_of(int threads, ef::InstructionSet set) {
  static std::map<std::pair<int, ef::InstructionSet>, std::unique_ptr<ef::Context>> contexts;
  std::unique_ptr<ef::Context>& context = contexts[{threads, set}];
  if (!context) context = std::make_unique<ef::Context>(ef::ContextOptions{.threads = threads, .instruction_set = set});
  return *context;
}

}  // namespace bench
