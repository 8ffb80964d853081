// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace ef = eigenformer;
using ef::Index;

namespace {

class Recorder : public ef::Profiler {
 public:
  void enter(std::string_view block) override { log += "(" + std::string(block); }
  void leave() override { log += ")"; }
  std::string log;
};

}  // namespace

TEST(Context, is_one_thread_and_the_best_instruction_set_by_default) {
  const ef::Context context;
  EXPECT_EQ(context.threads(), 1);
  EXPECT_EQ(context.instruction_set(), ef::best_instruction_set());
  EXPECT_EQ(context.profiler(), nullptr);
}

TEST(Context, has_random_numbers_of_the_seed_which_may_be_set_again) {
  ef::Context context({.seed = 5});
  const std::uint64_t first = context.random().bits();
  EXPECT_EQ(first, ef::Random(5).bits());
  EXPECT_NE(context.random().bits(), first);
  context.random() = ef::Random(5);
  EXPECT_EQ(context.random().bits(), first);
  EXPECT_EQ(ef::Context().random().bits(), ef::Random(0).bits());
}

TEST(Context, rejects_thread_counts_and_instruction_sets_that_cannot_be) {
  EXPECT_THROW(ef::Context({.threads = 0}), ef::OptionError);
  EXPECT_THROW(ef::Context({.threads = -1}), ef::OptionError);
  try {
    ef::Context context({.threads = 1025});
    ADD_FAILURE() << "expected OptionError";
  } catch (const ef::OptionError& error) {
    EXPECT_STREQ(error.what(), "Context: expected threads in 1 .. 1024, got 1025");
  }
  int refused = 0;
  using Set = ef::InstructionSet;
  for (const Set instruction_set : {Set::portable, Set::avx2, Set::avx512, Set::neon}) {
    if (ef::available(instruction_set)) {
      EXPECT_EQ(ef::Context({.instruction_set = instruction_set}).instruction_set(), instruction_set);
    } else {
      EXPECT_THROW(ef::Context({.instruction_set = instruction_set}), ef::OptionError);
      ++refused;
    }
  }
  EXPECT_GE(refused, 1) << "no machine has both AVX2 and NEON";
}

TEST(Context, loops_reach_every_index_whether_worth_threads_or_not) {
  for (const int threads : {1, 2, 3}) {
    ef::Context context({.threads = threads});
    for (const double operations : {0.0, 1e9}) {
      std::vector<std::atomic<int>> calls(101);
      context.parallel_for(101, operations, [&](Index i) { calls[static_cast<std::size_t>(i)].fetch_add(1); });
      for (const auto& called : calls) ASSERT_EQ(called.load(), 1);
      std::atomic<bool> outside{false};
      context.parallel_for_workers(101, operations, [&](Index, Index worker) {
        if (worker < 0 || worker >= threads) outside.store(true);
      });
      EXPECT_FALSE(outside.load());
    }
  }
}

TEST(Context, small_loops_stay_on_the_calling_thread) {
  ef::Context context({.threads = 3});
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<bool> elsewhere{false};
  context.parallel_for(1000, ef::Context::worth_threads / 2, [&](Index) {
    if (std::this_thread::get_id() != caller) elsewhere.store(true);
  });
  EXPECT_FALSE(elsewhere.load());
}

TEST(Context, tells_its_profiler_how_blocks_nest) {
  Recorder recorder;
  const ef::Context context({.profiler = &recorder});
  {
    const ef::ProfileScope outer(context, "PreNorm");
    { const ef::ProfileScope inner(context, "LayerNorm"); }
    { const ef::ProfileScope inner(context, "Linear"); }
  }
  EXPECT_EQ(recorder.log, "(PreNorm(LayerNorm)(Linear))");
  const ef::Context silent;
  { const ef::ProfileScope scope(silent, "Linear"); }
}

TEST(Context, profile_scopes_leave_when_something_throws) {
  Recorder recorder;
  const ef::Context context({.profiler = &recorder});
  try {
    const ef::ProfileScope scope(context, "Linear");
    throw ef::ShapeError("x");
  } catch (const ef::ShapeError&) {
    recorder.log += "!";
  }
  EXPECT_EQ(recorder.log, "(Linear)!");
}
