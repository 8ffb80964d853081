#pragma once
// SPDX-License-Identifier: MIT

#include <chrono>
#include <cstdio>

/// How training goes, on stderr: a bar that is redrawn in place on a terminal, and a line now and then elsewhere.
class Progress {
 public:
  /// Steps already done before are not counted into the rate.
  Progress(long done_before, long steps, long tokens_per_step);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Tells that `done` steps are done, the last of them with this loss in nats per byte.
  void show(long done, double loss);

  double seconds() const;
  double tokens_per_second(long done) const;

 private:
  using Clock = std::chrono::steady_clock;

  void draw_bar(long done, double loss);
  void print_line(long done, double loss);

  long first_;
  long steps_;
  long tokens_per_step_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_drawn_;
};
