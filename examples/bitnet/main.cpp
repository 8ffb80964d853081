// SPDX-License-Identifier: MIT
// BitNet in miniature (Wang et al. 2023; Ma et al. 2024): the same decoder of bytes with float, 1-bit and ternary
// projections learns the same text from the same seed, at a normal and at a large learning rate. Prints what each loses,
// weighs, decodes, and would take in energy for its arithmetic, and draws loss against energy.
//   bitnet [steps [picture.svg]]

#include <eigenformer/kernels/compiled/kernels.hpp>

#include "chart.hpp"
#include "contest.hpp"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>

namespace {

/// One kind of weights after all of its trainings.
struct Entrant {
  std::string name;
  std::string color;
  std::vector<Learning> learnings;
  double bytes = 0;
  double speed = 0;
  std::vector<double> energy = {};  ///< of a token in each process, microjoules
};

void report_learning(const Entrant& entrant) {
  for (const Learning& learning : entrant.learnings) {
    std::printf("%-8s  %-13.0e  %12.3f\n", entrant.name.c_str(), learning.learning_rate, learning.held_out);
  }
  std::fflush(stdout);
}

/// The projections as inference has them: bits packed, floats as they are.
template <class Model>
auto for_inference(const Model& model) {
  if constexpr (requires { ef::pack(model); }) {
    return ef::pack(model);
  } else {
    return model;
  }
}

template <class Projection, class Cost>
Entrant enter(const std::string& name, const std::string& color, const Text& text, const Setting& setting,
              const Cost& cost, ef::Context& context) {
  using Model = ef::BitNetDecoder<float, Projection>;
  Entrant entrant = {name, color, {}};
  for (const double rate : setting.learning_rates) {
    entrant.learnings.emplace_back();
    const Model model = trained<Model>(text, setting, rate, entrant.learnings.back(), context);
    const auto packed = for_inference(model);
    entrant.bytes = bytes_of_projections(packed);
    entrant.speed = decoding_speed(packed, setting, context);
  }
  for (const Process& process : processes()) {
    entrant.energy.push_back(
        1e-6 * over_projections(setting.model, [&](double out, double in) { return cost(out, in, process); }));
  }
  report_learning(entrant);
  return entrant;
}

void report(const std::vector<Entrant>& entrants) {
  std::printf("\n%-8s  bytes of projections  tokens/s", "weights");
  for (const Process& process : processes()) std::printf("  uJ/token, %s", process.name);
  std::printf("\n");
  for (const Entrant& entrant : entrants) {
    std::printf("%-8s  %20.0f  %8.0f", entrant.name.c_str(), entrant.bytes, entrant.speed);
    for (std::size_t i = 0; i < entrant.energy.size(); ++i) std::printf("  %15.3f", entrant.energy[i]);
    std::printf("\n");
  }
}

/// The axis of energy, on which each factor of ten is one step.
chart::Axis energy_axis(const std::vector<Entrant>& entrants) {
  chart::Axis axis = {.label = "energy of a token's arithmetic, microjoules", .lowest = 10, .highest = -10};
  for (const Entrant& entrant : entrants) {
    for (const double energy : entrant.energy) {
      axis.lowest = std::min(axis.lowest, std::floor(std::log10(energy)));
      axis.highest = std::max(axis.highest, std::ceil(std::log10(energy)));
    }
  }
  for (double at = axis.lowest; at <= axis.highest; ++at) axis.ticks.push_back({at, chart::number(std::pow(10, at))});
  return axis;
}

/// Loss against energy at one learning rate: a point for each process.
chart::Panel panel_of(const std::vector<Entrant>& entrants, std::size_t rate) {
  chart::Panel panel = {.title = "learning rate " + chart::number(entrants.front().learnings[rate].learning_rate),
                        .x = energy_axis(entrants),
                        .y = {.label = "held-out text, bits per byte", .lowest = 100, .highest = 0}};
  for (const Entrant& entrant : entrants) {
    const double loss = entrant.learnings[rate].held_out;
    for (const Learning& learning : entrant.learnings) {
      panel.y.lowest = std::min(panel.y.lowest, std::floor(2 * learning.held_out) / 2);
      panel.y.highest = std::max(panel.y.highest, std::ceil(2 * learning.held_out) / 2);
    }
    chart::Curve curve;
    curve.name = entrant.name + ", 45 nm and 7 nm";
    curve.color = entrant.color;
    for (const double energy : entrant.energy) {
      curve.x.push_back(std::log10(energy));
      curve.y.push_back(loss);
    }
    panel.curves.push_back(curve);
  }
  if (!(panel.y.highest < 20)) panel.y.highest = 8;  // who diverged is drawn at the edge
  panel.y.ticks = chart::ticks_every(0.5, panel.y);
  return panel;
}

int run(const Setting& setting, const std::string& picture) {
  std::ofstream file(picture);
  if (!file) throw std::runtime_error("cannot write '" + picture + "'");
  const Text text = read_text(project_files(EIGENFORMER_SOURCE_DIR), 4096);
  ef::Context context({.threads = setting.threads});
  std::printf("%ld steps of %ld x %ld bytes; %ld layers of %ld features\n\n", setting.steps, setting.windows.batch,
              setting.windows.length, static_cast<long>(setting.model.layers), static_cast<long>(setting.model.dim));
  std::printf("%-8s  %-13s  bits per byte\n", "weights", "learning rate");
  std::vector<Entrant> entrants;
  entrants.push_back(enter<ef::Linear<float>>("float", "#222222", text, setting, energy_of_linear, context));
  entrants.push_back(enter<ef::BitLinear<float>>("1 bit", "#d62728", text, setting, energy_of_bits, context));
  entrants.push_back(enter<ef::BitLinear158<float>>("ternary", "#1f77b4", text, setting, energy_of_bits, context));
  report(entrants);
  std::vector<chart::Panel> panels;
  for (std::size_t i = 0; i < setting.learning_rates.size(); ++i) panels.push_back(panel_of(entrants, i));
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
      std::cerr << "usage: bitnet [steps [picture.svg]]\n";
      return 2;
    }
    // Few steps are for seeing that it works.
    setting.windows.judged = static_cast<int>(std::min(32L, setting.steps));
    return run(setting, count > 2 ? arguments[2] : "bitnet.svg");
  } catch (const std::exception& error) {
    std::cerr << "bitnet: " << error.what() << '\n';
    return 1;
  }
}
