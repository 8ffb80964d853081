// SPDX-License-Identifier: MIT
// The question of Nguyen & Salazar 2019, "Transformers without Tears", in miniature: which norm, and where? The same
// small decoder learns the same text byte by byte, with each norm before (PreNorm) and behind (PostNorm) its branches,
// at a usual and at a large learning rate, all without warm-up. Prints a table and draws the curves.
//   norm_placement [steps [picture.svg]]

#include <eigenformer/kernels/compiled/kernels.hpp>

#include "chart.hpp"
#include "experiment.hpp"
#include "train_language_model/baseline.hpp"

#include <eigenformer/block/post_norm.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>
#include <eigenformer/norm/scale_norm.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>

namespace {

struct Competitor {
  std::string name;
  std::string color;
  bool post;
  Outcome (*train)(const Text&, double, const Setting&);
};

template <class Norm, class Ends>
void enter(std::vector<Competitor>& all, const std::string& norm, const std::string& color) {
  all.push_back({"PreNorm " + norm, color, false, trained<ByteModel<ef::PreNorm, Norm, Ends>>});
  all.push_back({"PostNorm " + norm, color, true, trained<ByteModel<ef::PostNorm, Norm, Ends>>});
}

/// Exponential mean over some ten steps, so that curves can be told apart.
std::vector<double> smoothed(std::vector<double> y) {
  for (std::size_t i = 1; i < y.size(); ++i) y[i] = 0.9 * y[i - 1] + 0.1 * y[i];
  return y;
}

/// One learning rate: a row of the table and a curve for each competitor.
chart::Panel compare(const std::vector<Competitor>& competitors, const Text& text, double rate, double unigram,
                     const Setting& setting) {
  char title[64];
  std::snprintf(title, sizeof title, "learning rate %g", rate);
  chart::Panel panel = {.title = title,
                        .x = {.label = "step", .highest = static_cast<double>(setting.steps)},
                        .y = {.label = "training loss, bits per byte", .lowest = 2, .highest = 8}};
  std::vector<double> steps;
  for (long step = 1; step <= setting.steps; ++step) steps.push_back(static_cast<double>(step));
  for (const Competitor& competitor : competitors) {
    const Outcome outcome = competitor.train(text, rate, setting);
    // Worse than counting bytes is no learning. Written so that what is no number counts as diverged.
    const bool learnt = outcome.held_out < unigram;
    std::printf("%-29s  %-13g  %8.3f  %7.1f  %s\n", competitor.name.c_str(), rate, outcome.held_out,
                outcome.steps_per_second, learnt ? "learnt" : "diverged");
    std::fflush(stdout);
    panel.curves.push_back({competitor.name, competitor.color, competitor.post, steps, smoothed(outcome.training)});
  }
  return panel;
}

int run(const Setting& setting, const std::string& picture) {
  std::ofstream file(picture);
  if (!file) throw std::runtime_error("cannot write '" + picture + "'");
  const Text text = read_text(project_files(EIGENFORMER_SOURCE_DIR), 4096);
  const double unigram = unigram_bits_per_byte(text.training, text.held_out);
  std::vector<Competitor> competitors;
  enter<ef::LayerNorm<float>, PlainEnds>(competitors, "LayerNorm", "#1f77b4");
  enter<ef::RmsNorm<float>, PlainEnds>(competitors, "RmsNorm", "#2ca02c");
  enter<ef::ScaleNorm<float>, FixedEnds>(competitors, "ScaleNorm + FixNorm", "#d62728");
  std::printf("%ld steps of %ld x %ld bytes, %ld layers of %ld features; counting bytes gives %.3f bits per byte\n\n",
              setting.steps, setting.windows.batch, setting.windows.length, setting.sizes.layers, setting.sizes.dim,
              unigram);
  std::printf("%-29s  %-13s  %8s  %7s\n", "", "learning rate", "held out", "steps/s");
  std::vector<chart::Panel> panels;
  for (const double rate : {2e-3, 2e-2}) panels.push_back(compare(competitors, text, rate, unigram, setting));
  file << chart::drawn(panels);
  std::printf("\ndrawn to '%s'\n", picture.c_str());
  return file.flush() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    Setting setting;
    if (count > 1) setting.steps = std::atol(arguments[1]);
    if (count > 3 || setting.steps < 1) {
      std::cerr << "usage: norm_placement [steps [picture.svg]]\n";
      return 2;
    }
    return run(setting, count > 2 ? arguments[2] : "norm_placement.svg");
  } catch (const std::exception& error) {
    std::cerr << "norm_placement: " << error.what() << '\n';
    return 1;
  }
}
