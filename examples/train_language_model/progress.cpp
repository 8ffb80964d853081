// SPDX-License-Identifier: MIT

#include "progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <numbers>
#include <string>

namespace {

std::string clock_time(double seconds) {
  const long whole = static_cast<long>(seconds + 0.5);
  char text[32];
  std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

}  // namespace

Progress::Progress(long done_before, long steps, long tokens_per_step)
    : first_(done_before), steps_(steps), tokens_per_step_(tokens_per_step), terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (drawn_) std::fputc('\n', stderr);
}

double Progress::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

double Progress::tokens_per_second(long done) const {
  return static_cast<double>((done - first_) * tokens_per_step_) / (std::max)(seconds(), 1e-9);
}

void Progress::show(long done, double loss) {
  if (terminal_) {
    const bool due = !drawn_ || done == steps_ || Clock::now() - last_drawn_ > std::chrono::milliseconds(100);
    if (due) draw_bar(done, loss);
  } else if (done % (std::max)(1L, steps_ / 20) == 0 || done == steps_) {
    print_line(done, loss);
  }
}

void Progress::draw_bar(long done, double loss) {
  constexpr int width = 24;
  const int full = static_cast<int>(width * done / steps_);
  std::string bar(static_cast<std::size_t>(full), '=');
  if (full < width) bar += '>';
  bar.resize(width, ' ');
  const double left = seconds() / static_cast<double>(done - first_) * static_cast<double>(steps_ - done);
  // \033[K clears what a longer line has left.
  std::fprintf(stderr, "\r[%s] %ld/%ld  loss %.3f bits/byte  %.0f tokens/s  %s left\033[K", bar.c_str(), done, steps_,
               loss / std::numbers::ln2, tokens_per_second(done), clock_time(left).c_str());
  std::fflush(stderr);
  drawn_ = true;
  last_drawn_ = Clock::now();
}

void Progress::print_line(long done, double loss) {
  const double left = seconds() / static_cast<double>(done - first_) * static_cast<double>(steps_ - done);
  std::fprintf(stderr, "step %ld of %ld: loss %.17g nats per byte, %.0f tokens/s, %s left\n", done, steps_, loss,
               tokens_per_second(done), clock_time(left).c_str());
}
