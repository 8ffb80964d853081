#pragma once
// SPDX-License-Identifier: MIT

#include "learner.hpp"
#include "train_language_model/run.hpp"

#include <eigenformer/train/schedule.hpp>

#include <chrono>
#include <memory>

/// How all methods are trained and judged.
struct Setting {
  long steps = 1000;
  std::vector<double> learning_rates = {5e-4, 2e-3, 8e-3, 3e-2};  ///< of which each method takes its best
  WindowSizes windows = {.batch = 4, .length = 128};
  long prefix_length = 16;
  int rounds = 25;  ///< of timing; the median counts
  int threads = 2;
};

/// The text that the base is adapted to. The learning rate is chosen by one part of what is held out, and the result judged
/// by the other.
struct NewText {
  std::string training;
  std::string choosing;
  std::string judging;
};

/// The base as it was trained, as what it is and as what adapters can be added to.
struct Base {
  Model plain;
  Adaptable adaptable;
};

inline std::unique_ptr<Learner> learner(const Base& base, const Method& method, const Setting& setting) {
  if (!method.lora && method.prefix == PrefixTraining::none) {
    return std::make_unique<LearnerOf<Model>>(base.plain, method, setting.prefix_length);
  }
  return std::make_unique<LearnerOf<Adaptable>>(base.adaptable, method, setting.prefix_length);
}

/// What became of one method at its best learning rate.
struct Outcome {
  std::unique_ptr<Learner> learner;
  double learning_rate = 0;
  double chosen_by = 1e30;  ///< bits per byte of the part of the text that chooses
  double bits = 0;          ///< of the part that judges
  double seconds = 0;       ///< of a step, the median
};

/// Each learning rate reads the same windows in the same order.
inline Outcome best_of_rates(const Base& base, const Method& method, const NewText& text, const Setting& setting,
                             ef::Context& context) {
  Outcome best;
  Windows windows(setting.windows.batch, setting.windows.length);
  const auto starts = static_cast<ef::Index>(text.training.size()) - setting.windows.length;
  for (const double peak : setting.learning_rates) {
    std::unique_ptr<Learner> trained = learner(base, method, setting);
    const ef::WarmupCosine rate(
        {.warmup_steps = (setting.steps + 9) / 10, .total_steps = setting.steps, .peak = peak, .floor = peak / 20});
    ef::Random order(4);
    for (long step = 0; step < setting.steps; ++step) {
      for (long b = 0; b < setting.windows.batch; ++b) {
        windows.read(b, text.training, static_cast<std::size_t>(order.index(starts)));
      }
      trained->step(windows, rate(step), context);
    }
    trained->finish(context);
    const double bits = trained->bits_per_byte(text.choosing, setting.windows, context);
    // Written so that a NaN is never the best.
    if (best.learner && !(bits < best.chosen_by)) continue;
    best.learning_rate = peak;
    best.chosen_by = bits;
    best.bits = trained->bits_per_byte(text.judging, setting.windows, context);
    best.learner = std::move(trained);
  }
  return best;
}

/// Median seconds of a step of each method. They take turns, so that what else the machine does meets all of them. The
/// learners are fresh ones: a step is as long whatever has been learnt.
inline std::vector<double> seconds_of_steps(const Base& base, const std::vector<Method>& all, long batch,
                                            const std::string& text, const Setting& setting, ef::Context& context) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::unique_ptr<Learner>> learners;
  for (const Method& method : all) learners.push_back(learner(base, method, setting));
  Windows windows(batch, setting.windows.length);
  const auto step = static_cast<std::size_t>(setting.windows.length);
  for (long b = 0; b < batch; ++b) windows.read(b, text, step * static_cast<std::size_t>(b) % (text.size() - step));
  std::vector<std::vector<double>> seconds(all.size());
  for (int round = -1; round < setting.rounds; ++round) {  // the first allocates, and is not counted
    for (std::size_t m = 0; m < all.size(); ++m) {
      const auto begin = Clock::now();
      learners[m]->step(windows, 1e-5, context);
      if (round >= 0) seconds[m].push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& of : seconds) {
    std::sort(of.begin(), of.end());
    medians.push_back(of[of.size() / 2]);
  }
  return medians;
}
