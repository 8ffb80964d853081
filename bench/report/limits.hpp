#pragma once
// SPDX-License-Identifier: MIT

#include <report/measurement.hpp>

#include <iosfwd>
#include <vector>

namespace bench {

/// What this machine can do at best, measured in the same run as all else, because other guests of a shared machine
/// change it from minute to minute.
struct Limits {
  struct Arithmetic {
    std::string instruction_set;
    int threads;
    double per_second;  ///< fp32 operations; a multiply-add is two
  };
  struct Memory {
    double footprint;  ///< bytes that are gone through again and again; what fits a cache is faster
    int threads;
    double read;  ///< bytes per second
    double copy;  ///< bytes read plus bytes written, per second
  };
  struct Integer {
    std::string instructions;
    int threads;
    double per_second;  ///< operations on 8-bit numbers; a multiply-add is two
  };
  std::vector<Arithmetic> arithmetic;
  std::vector<Memory> memory;  ///< footprints ascend
  std::vector<Integer> integer;

  /// The least time in which the arithmetic of a work can be done; 0 where nothing was measured. That of 8-bit integers by
  /// multiplying and adding with the first of `integer`, whatever the instruction set: bits can be had for less.
  double arithmetic_seconds(const Cost& cost, std::string_view instruction_set, int threads) const;
  /// The least time in which its bytes can move, at the speed of the smallest footprint measured that holds them: what
  /// is written moves at the speed of copying together with as many bytes read, the rest at that of reading.
  double memory_seconds(const Cost& cost, int threads) const;
};

/// Takes about five seconds, with one thread and, where the machine has them, two. With `seconds_each` the time for
/// each number.
Limits measure_limits(double seconds_each = 0.1);

void print(std::ostream& out, const Limits& limits);

}  // namespace bench
