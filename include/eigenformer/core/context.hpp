#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/core/instruction_set.hpp>
#include <eigenformer/core/profiler.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/core/scratch.hpp>
#include <eigenformer/core/thread_team.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI {

struct SequenceLabels;

struct ContextOptions {
  int threads = 1;
  /// what kernels run with; the widest that this machine knows
  InstructionSet instruction_set = best_instruction_set();
  Profiler* profiler = nullptr;  ///< not owned; must outlive the Context
  std::uint64_t seed = 0;        ///< of random()
};

/// What a call may use beside its arguments: threads, scratch memory, the instruction set, a profiler, random numbers.
/// Passed to every forward and backward, never global. One thread at a time uses a Context; threads that share a model
/// bring one each. Results do not depend on the number of threads.
///   throws OptionError if threads is not in 1 .. 1024 or this machine cannot run the instruction set
class Context {
 public:
  static constexpr int max_threads = 1024;  ///< most threads that a Context can have

  // A template, so that a file that makes no Context does not compile the threads.
  template <class = void>
  explicit Context(const ContextOptions& options = {})
      : team_(checked(options).threads),
        instruction_set_(options.instruction_set),
        profiler_(options.profiler),
        random_(options.seed) {}

  int threads() const { return team_.threads(); }
  InstructionSet instruction_set() const { return instruction_set_; }
  Profiler* profiler() const { return profiler_; }
  ScratchArena& scratch() { return scratch_; }
  /// What training draws from, such as a seed for each call that drops something, in the order of the calls. Who sets it
  /// before a step can do that step again: `context.random() = ef::Random(step)`.
  Random& random() { return random_; }
  /// What the sequences of the batch are called, where blocks are to tell them apart, else nullptr.
  const SequenceLabels* labels() const { return labels_; }
  /// Sets it; not owned.
  void set_labels(const SequenceLabels* labels) { labels_ = labels; }

  /// Calls body(i) for every i in 0 .. count - 1, on all threads if there is enough to do: `operations` is the
  /// arithmetic of the whole loop, roughly, in scalar operations. The body must not throw and must not use the Context.
  template <class Body>
  void parallel_for(Index count, double operations, const Body& body) {
    parallel_for_workers(count, operations, [&body](Index i, Index) { body(i); });
  }
  /// The same with the number of the worker, 0 .. threads() - 1, to choose a slice of scratch memory taken before.
  template <class Body>
  void parallel_for_workers(Index count, double operations, const Body& body) {
    if (threads() == 1 || operations < worth_threads) {
      for (Index i = 0; i < count; ++i) body(i, Index(0));
      return;
    }
    // Several bodies at a time where one is hardly worth handing out, such as a row, but still shares for every thread.
    const auto worth = static_cast<Index>(worth_handing_out / operations * static_cast<double>(count));
    const Index together = (std::max)(Index(1), (std::min)(worth, count / (4 * threads())));
    team_.run((count + together - 1) / together, [&](Index group, Index worker) {
      const Index end = (std::min)(count, (group + 1) * together);
      for (Index i = group * together; i < end; ++i) body(i, worker);
    });
  }

  /// Operations below which waking threads costs more than they bring: a wake-up and the wait take some microseconds.
  static constexpr double worth_threads = 4e5;
  /// Operations that a thread takes at a time, in as many bodies as that is: one by one, short ones take less time than
  /// the counter that hands them out.
  static constexpr double worth_handing_out = 1e5;

 private:
  static const ContextOptions& checked(const ContextOptions& options) {
    require<OptionError>(options.threads >= 1 && options.threads <= max_threads, "Context", "expected threads in 1 .. ",
                         max_threads, ", got ", options.threads);
    require<OptionError>(available(options.instruction_set), "Context", "this machine cannot run instruction set ",
                         name(options.instruction_set));
    return options;
  }

  ThreadTeam team_;
  ScratchArena scratch_;
  InstructionSet instruction_set_;
  Profiler* profiler_;
  Random random_;
  const SequenceLabels* labels_ = nullptr;
};

/// Tells the Context's profiler, if there is one, that a block runs for the length of a scope.
class ProfileScope {
 public:
  /// `block` is its name, which must outlive the scope.
  ProfileScope(const Context& context, std::string_view block) : profiler_(context.profiler()) {
    if (profiler_) profiler_->enter(block);
  }
  ~ProfileScope() {
    if (profiler_) profiler_->leave();
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  Profiler* profiler_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
