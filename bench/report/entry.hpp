#pragma once
// SPDX-License-Identifier: MIT

#include <report/measurement.hpp>

#include <eigenformer/core/context.hpp>

#include <functional>
#include <memory>
#include <vector>

namespace bench {

namespace ef = eigenformer;
using ef::Index;

/// How wrong an answer is.
struct Error {
  double largest;  ///< the largest error, as a share of the largest number of the answer
  bool allowed;    ///< whether every number is within its tolerance
};

/// A work of one shape. Works with `dimensions` are offered to the peers, who know them by name.
struct Work {
  std::string name;
  std::string shape;
  Cost cost;
  std::string type = "float";
  std::vector<Index> dimensions = {};
  bool slow = false;  ///< too slow by Eigen or a peer to be repeated as often as all else: they have three repetitions
};

/// What is timed, and the error of the answer that it leaves behind.
struct Trial {
  std::function<void()> start;  ///< as nothing had run; before the answer is looked at
  std::function<void()> run;
  std::function<Error()> error;
};

/// A benchmark to be. The trial is made when first needed; it runs once, from the start, to have its answer looked at: a
/// wrong one fails the benchmark, and nothing is timed.
struct Planned {
  Name name;
  Work work;
  std::function<Trial()> make;  ///< empty for what is left to the peers
};

/// All that entries have planned so far, in their order.
std::vector<Planned>& plan();

/// One Context for each way, so that a hundred benchmarks do not keep a hundred threads waiting.
ef::Context& context_of(int threads, ef::InstructionSet set);

/// How we run: threads and instruction set.
struct Way {
  int threads = 1;
  ef::InstructionSet set = ef::best_instruction_set();
};

/// One work, done in several ways on the same numbers. Case holds inputs and outputs, is made when first needed and has
///   Error error() const      of the outputs, against double
///   void start()             if running changes the inputs: as it was made
template <class Case>
class Entry {
 public:
  /// Plans nothing yet; `arguments` are for the constructor of Case.
  template <class... Arguments>
  explicit Entry(Work work, const Arguments&... arguments)
      : work_(std::move(work)), shared_(std::make_shared<Shared>()) {
    shared_->make = [arguments...] { return std::make_unique<Case>(arguments...); };
  }

  /// Ours in each of the ways that this machine has; the peers are asked for the same numbers of threads.
  Entry& ours(void (Case::*run)(ef::Context&), const std::vector<Way>& ways = {Way{}}) {
    for (const Way& way : ways) {
      if (!ef::available(way.set)) continue;
      const Name name = {work_.name, work_.shape, work_.type, std::string(ef::name(way.set)), way.threads};
      plan().push_back({name, work_, [shared = shared_, run, way] {
                          Case& numbers = shared->get();
                          ef::Context& context = context_of(way.threads, way.set);
                          return trial(numbers, [&numbers, &context, run] { (numbers.*run)(context); });
                        }});
      if (way.set == ef::best_instruction_set() && !work_.dimensions.empty()) {
        plan().push_back({{work_.name, work_.shape, work_.type, "", way.threads}, work_, {}});
      }
    }
    return *this;
  }

  /// What one would write with Eigen alone.
  Entry& eigen(void (Case::*run)()) {
    plan().push_back(
        {{work_.name, work_.shape, work_.type, std::string(plain_eigen), 1}, work_, [shared = shared_, run] {
           Case& numbers = shared->get();
           return trial(numbers, [&numbers, run] { (numbers.*run)(); });
         }});
    return *this;
  }

 private:
  struct Shared {
    std::function<std::unique_ptr<Case>()> make;
    std::unique_ptr<Case> made;
    Case& get() {
      if (!made) made = make();
      return *made;
    }
  };
  static Trial trial(Case& numbers, std::function<void()> run) {
    std::function<void()> start = [] {};
    if constexpr (requires { numbers.start(); }) start = [&numbers] { numbers.start(); };
    return {std::move(start), std::move(run), [&numbers] { return numbers.error(); }};
  }

  Work work_;
  std::shared_ptr<Shared> shared_;
};

/// One thread and two.
inline std::vector<Way> one_and_two_threads() { return {{.threads = 1}, {.threads = 2}}; }

/// The best instruction set, then the others with one thread each.
inline std::vector<Way> every_set(const std::vector<Way>& first = {Way{}}) {
  std::vector<Way> ways = first;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (set != ef::best_instruction_set()) ways.push_back({.threads = 1, .set = set});
  }
  return ways;
}

}  // namespace bench
