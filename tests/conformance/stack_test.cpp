// SPDX-License-Identifier: MIT
// How much stack a call takes: threads of a program that embeds the library may have little.

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conformance/property.hpp"
#include "support/allocation.hpp"

namespace {

using conformance::Index;
using conformance::large;
using conformance::small;
using conformance::Start;
namespace ef = eigenformer;

constexpr std::size_t promised = 256 * 1024;

/// A stack of our own under a page that may not be touched, painted so that use leaves a trace.
class PaintedStack {
 public:
  explicit PaintedStack(std::size_t size) : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))), size_(size) {
    void* const memory = mmap(nullptr, page_ + size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no memory for a stack");
    memory_ = static_cast<unsigned char*>(memory);
    mprotect(memory_, page_, PROT_NONE);
    std::fill_n(memory_ + page_, size_, paint);
  }
  PaintedStack(const PaintedStack&) = delete;
  PaintedStack& operator=(const PaintedStack&) = delete;
  ~PaintedStack() { munmap(memory_, page_ + size_); }

  /// Calls the function on a thread that has this stack.
  template <class Function>
  void run(Function& function) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    ASSERT_EQ(pthread_attr_setstack(&attributes, memory_ + page_, size_), 0);
    const auto call = [](void* argument) -> void* {
      (*static_cast<Function*>(argument))();
      return nullptr;
    };
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, &attributes, call, &function), 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
  }
  /// Bytes from the top down to the deepest that was written, what the system itself puts there included.
  std::size_t used() const {
    const unsigned char* const bottom = memory_ + page_;
    return size_ - static_cast<std::size_t>(std::find_if(bottom, bottom + size_, is_used) - bottom);
  }

 private:
  static constexpr unsigned char paint = 0xa5;
  static bool is_used(unsigned char byte) { return byte != paint; }

  std::size_t page_;
  std::size_t size_;
  unsigned char* memory_ = nullptr;
};

CONFORMANCE_SUITE(Stack);

CONFORMANCE(Stack, is_enough_at_256_kilobytes) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << "sanitizers spread the stack out";
  std::size_t most = 0;
  int cases = 0;
  for (const ef::InstructionSet set : {ef::InstructionSet::portable, ef::best_instruction_set()}) {
    Start<T> start(row, large);
    std::vector<T> y(start.dy.size());
    std::vector<T> dx(start.x.size());
    auto everything = [&] {
      ef::Context context({.threads = 1, .instruction_set = set});
      for (const auto extent : {small, large}) {
        start.subject->forward_with_cache(start.x.data(), y.data(), extent, context);
        start.subject->backward(start.dy.data(), dx.data(), extent, context);
        start.subject->forward(start.x.data(), y.data(), extent, context);
      }
      y = start.subject->call_operator(start.x.data(), large);
    };
    PaintedStack roomy(4 * promised);
    roomy.run(everything);
    ASSERT_LE(roomy.used(), promised) << ef::name(set);
    most = (std::max)(most, roomy.used());

    const std::vector<T> expected = y;
    PaintedStack tight(promised);
    tight.run(everything);
    EXPECT_TRUE(support::bit_equal(y, expected));
    ++cases;
  }
  EXPECT_EQ(cases, 2);
  testing::Test::RecordProperty("bytes_of_stack", static_cast<int>(most));
}

TEST(StackOfAThread, measure_sees_what_a_function_takes) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << "sanitizers spread the stack out";
  auto nothing = [] {};
  auto something = [] {
    volatile unsigned char array[100'000] = {1};
    static_cast<void>(array[0]);
  };
  PaintedStack before(promised);
  before.run(nothing);
  PaintedStack after(promised);
  after.run(something);
  EXPECT_GE(after.used(), 100'000U);
  EXPECT_LE(before.used(), 32U * 1024U);
}

}  // namespace
