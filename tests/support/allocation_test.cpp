// SPDX-License-Identifier: MIT

#include "support/allocation.hpp"

#include <gtest/gtest.h>

#include <Eigen/Core>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace {

// A place that the compiler must take for read elsewhere, so that no allocation is optimised away.
void* volatile sink = nullptr;

void* seen(void* memory) {
  sink = memory;
  return memory;
}

class AllocationTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  }
};

TEST_F(AllocationTest, each_way_to_the_heap_counts_once) {
  struct alignas(128) Wide {
    char bytes[256];
  };
  const std::vector<std::pair<std::string, std::function<void()>>> ways = {
      {"malloc", [] { std::free(seen(std::malloc(40))); }},
      {"calloc", [] { std::free(seen(std::calloc(5, 8))); }},
      {"realloc", [] { std::free(seen(std::realloc(nullptr, 40))); }},
      {"aligned_alloc", [] { std::free(seen(std::aligned_alloc(64, 64))); }},
      {"posix_memalign",
       [] {
         void* memory = nullptr;
         if (posix_memalign(&memory, 64, 64) == 0) std::free(seen(memory));
       }},
      {"new", [] { ::operator delete(seen(::operator new(40))); }},
      {"new[]", [] { ::operator delete[](seen(::operator new[](40))); }},
      {"aligned new",
       [] {
         Wide* wide = new Wide;
         sink = wide;
         delete wide;
       }},
      {"vector", [] { sink = std::vector<double>(17).data(); }},
      {"Eigen", [] { sink = Eigen::VectorXf(17).data(); }},
      {"make_unique", [] { sink = std::make_unique<int>(3).get(); }},
  };
  int cases = 0;
  for (const auto& [name, way] : ways) {
    EXPECT_EQ(support::allocations_during(way), 1U) << name;
    ++cases;
  }
  EXPECT_EQ(cases, 11);
}

TEST_F(AllocationTest, nothing_counts_as_nothing) {
  double sum = 0;
  const std::size_t count = support::allocations_during([&] {
    for (int i = 0; i < 100; ++i) sum += i;
  });
  EXPECT_EQ(count, 0U);
  EXPECT_EQ(sum, 4950);
}

TEST_F(AllocationTest, aligned_memory_is_aligned_and_usable) {
  for (const std::size_t alignment : {16U, 64U, 4096U}) {
    char* memory = static_cast<char*>(std::aligned_alloc(alignment, 2 * alignment));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % alignment, 0U);
    for (std::size_t i = 0; i < 2 * alignment; ++i) memory[i] = 1;
    std::free(memory);
  }
  void* memory = nullptr;
  EXPECT_NE(posix_memalign(&memory, 3, 64), 0);
  EXPECT_EQ(memory, nullptr);
}

TEST_F(AllocationTest, bytes_add_up_and_the_largest_is_known) {
  const support::AllocationCounter counter;
  std::free(seen(std::malloc(1000)));
  std::free(seen(std::calloc(3, 700)));
  const std::size_t bytes = counter.bytes();
  const std::size_t largest = counter.largest();
  EXPECT_EQ(bytes, 3100U);
  EXPECT_EQ(largest, 2100U);
}

TEST_F(AllocationTest, other_threads_count) {
  std::atomic<int> stage{0};
  std::thread thread([&] {
    while (stage != 1) std::this_thread::yield();
    for (int i = 0; i < 10; ++i) std::free(seen(std::malloc(40)));
    stage = 2;
  });
  // Its first malloc may give the thread an arena, which comes from mmap and is not counted.
  const std::size_t count = support::allocations_during([&] {
    stage = 1;
    while (stage != 2) std::this_thread::yield();
  });
  thread.join();
  EXPECT_EQ(count, 10U);
}

TEST_F(AllocationTest, counters_nest) {
  const support::AllocationCounter outer;
  std::free(seen(std::malloc(40)));
  const std::size_t inner = support::allocations_during([] { std::free(seen(std::malloc(40))); });
  std::free(seen(std::malloc(40)));
  const std::size_t all = outer.count();
  EXPECT_EQ(inner, 1U);
  EXPECT_EQ(all, 3U);
}

}  // namespace
