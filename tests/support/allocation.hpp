#pragma once
// SPDX-License-Identifier: MIT

#include <cstddef>

namespace support {

/// Counts what the whole process takes from the heap while it lives: malloc, calloc, realloc, memalign and everything
/// built on them (operator new, Eigen), from every thread. Counters may be nested. A test reads the count before it
/// expects anything, because a failing expectation allocates.
class AllocationCounter {
 public:
  AllocationCounter();
  ~AllocationCounter();
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;

  /// False where malloc cannot be replaced: under sanitizers, which replace it themselves, and without glibc.
  static bool available();
  /// For GTEST_SKIP.
  static const char* why_not() { return "heap allocations cannot be counted under sanitizers or without glibc"; }

  std::size_t count() const;
  /// Sum of the sizes asked for; what was given back in the meantime is not subtracted.
  std::size_t bytes() const;
  /// The largest single request since the outermost counter began.
  std::size_t largest() const;
  /// Blocks taken and not given back since, 0 if nothing leaks; memory from before must not be freed meanwhile.
  std::ptrdiff_t outstanding() const;

 private:
  std::size_t count_before_ = 0;
  std::size_t bytes_before_ = 0;
  std::size_t freed_before_ = 0;
};

/// While it lives, the heap of this thread refuses one request: the first if `which` is 0. Nothing happens where
/// AllocationCounter is not available.
class AllocationFailure {
 public:
  explicit AllocationFailure(std::size_t which);
  ~AllocationFailure();
  AllocationFailure(const AllocationFailure&) = delete;
  AllocationFailure& operator=(const AllocationFailure&) = delete;
  /// Whether that many requests were made.
  bool happened() const;
};

/// How many allocations a call makes.
template <class Function>
std::size_t allocations_during(Function&& function) {
  const AllocationCounter counter;
  function();
  return counter.count();
}

}  // namespace support
