#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/profiler.hpp>

#include <chrono>
#include <map>
#include <ostream>
#include <string>
#include <vector>

/// Adds up the time that blocks take themselves, without what runs inside them.
class TimeProfile : public eigenformer::Profiler {
 public:
  void enter(std::string_view block) override {
    charge();
    open_.emplace_back(block);
  }
  void leave() override {
    charge();
    open_.pop_back();
  }

  /// One line for each block, the most expensive first.
  void print(std::ostream& out) const;

 private:
  using Clock = std::chrono::steady_clock;

  /// The time since the last event belongs to the innermost open block.
  void charge() {
    const Clock::time_point now = Clock::now();
    if (!open_.empty()) seconds_[open_.back()] += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

  std::map<std::string, double> seconds_;
  std::vector<std::string> open_;
  Clock::time_point last_ = Clock::now();
};
