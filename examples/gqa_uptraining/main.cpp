// SPDX-License-Identifier: MIT
// The experiment of Ainslie et al. 2023, "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head
// Checkpoints", in miniature: a decoder with as many key/value heads as heads learns text byte by byte, is converted to
// fewer of them by the mean of each group, its first head, or random ones, and is trained on for a twentieth of the
// steps. Prints what each loses and gains back and how fast it decodes, and draws both.
//   gqa_uptraining [steps [picture.svg]]

#include <eigenformer/kernels/compiled/kernels.hpp>

#include "chart.hpp"
#include "decoding.hpp"
#include "uptraining.hpp"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>

namespace {

/// A way to convert, and how it is drawn.
struct Way {
  std::string name;
  std::string color;
  ef::HeadPooling pooling;
};

const std::vector<Way>& ways() {
  static const std::vector<Way> all = {{"mean of the group", "#1f77b4", ef::MeanPooling{}},
                                       {"first head", "#2ca02c", ef::FirstHead{}},
                                       {"random heads", "#d62728", ef::RandomHeads{ef::Random(3)}}};
  return all;
}

void report(long kv_heads, const std::string& made_of, const Outcome& outcome) {
  std::printf("%-8ld  %-17s  %9.3f  %9.3f\n", kv_heads, made_of.c_str(), outcome.converted, outcome.uptrained);
  std::fflush(stdout);
}

std::vector<double> log2_of(const std::vector<long>& numbers) {
  std::vector<double> result;
  for (const long number : numbers) result.push_back(std::log2(static_cast<double>(number)));
  return result;
}

/// The axis of key/value heads, on which each doubling is one step.
chart::Axis heads_axis(const std::vector<long>& kv_heads) {
  chart::Axis axis = {.label = "key/value heads"};
  for (const long heads : kv_heads) {
    axis.ticks.push_back({std::log2(static_cast<double>(heads)), std::to_string(heads)});
  }
  axis.lowest = std::min(axis.ticks.front().at, axis.ticks.back().at);
  axis.highest = std::max(axis.ticks.front().at, axis.ticks.back().at);
  return axis;
}

/// Whole bits around all curves, a line for each.
chart::Axis bits_axis(const std::vector<chart::Curve>& curves) {
  chart::Axis axis = {.label = "held-out text, bits per byte", .lowest = 1e30};
  for (const chart::Curve& curve : curves) {
    for (const double y : curve.y) {
      axis.lowest = std::min(axis.lowest, std::floor(y));
      axis.highest = std::max(axis.highest, std::ceil(y));
    }
  }
  axis.ticks = chart::ticks_every(1, axis);
  return axis;
}

/// Each way to convert at each number of heads: rows of the table, and curves before and after uptraining.
chart::Panel compare(const Model& trained, const Outcome& multi_head, const std::vector<long>& kv_heads,
                     const Text& text, const Setting& setting, ef::Context& context) {
  std::vector<chart::Curve> converted, uptrained;
  for (const Way& way : ways()) {
    converted.push_back({way.name + ", converted", way.color, true, log2_of(kv_heads), {multi_head.converted}});
    uptrained.push_back({way.name + ", uptrained", way.color, false, log2_of(kv_heads), {multi_head.uptrained}});
    for (std::size_t i = 1; i < kv_heads.size(); ++i) {
      const Outcome outcome = converted_and_uptrained(trained, {kv_heads[i], way.pooling}, text, setting, context);
      report(kv_heads[i], way.name, outcome);
      converted.back().y.push_back(outcome.converted);
      uptrained.back().y.push_back(outcome.uptrained);
    }
  }
  converted.insert(converted.end(), uptrained.begin(), uptrained.end());
  return {.title = "loss before and after uptraining",
          .x = heads_axis(kv_heads),
          .y = bits_axis(converted),
          .curves = converted};
}

/// Speed of decoding with each number of heads.
chart::Panel time_decoding(const Model& trained, const std::vector<long>& kv_heads, const DecodingSizes& sizes,
                           ef::Context& context) {
  std::vector<Model> models;
  for (const long heads : kv_heads) models.push_back(ef::from_multi_head(trained, {.kv_heads = heads}));
  const std::vector<double> speeds = decoding_speeds(models, sizes, context);
  std::printf("\n%-8s  decoding, tokens/s\n", "kv heads");
  for (std::size_t i = 0; i < kv_heads.size(); ++i) std::printf("%-8ld  %.0f\n", kv_heads[i], speeds[i]);
  chart::Panel panel = {.title = "decoding behind " + std::to_string(sizes.context) + " tokens",
                        .x = heads_axis(kv_heads),
                        .y = {.label = "tokens per second"}};
  panel.curves = {{"", "#222222", false, log2_of(kv_heads), speeds}};
  panel.y.highest = 1000 * std::ceil(*std::max_element(speeds.begin(), speeds.end()) / 1000);
  panel.y.ticks = chart::ticks_every(1000, panel.y);
  return panel;
}

int run(const Setting& setting, const DecodingSizes& decoding, const std::string& picture) {
  std::ofstream file(picture);
  if (!file) throw std::runtime_error("cannot write '" + picture + "'");
  const Text text = read_text(project_files(EIGENFORMER_SOURCE_DIR), 4096);
  ef::Context context({.threads = setting.threads});
  Model trained(setting.model, ef::Random(1));
  std::printf("%ld steps of %ld x %ld bytes, then %ld more; %ld layers of %ld features, %ld heads\n\n",
              setting.training.steps, setting.windows.batch, setting.windows.length, setting.uptraining().steps,
              static_cast<long>(setting.model.layers), static_cast<long>(setting.model.dim),
              static_cast<long>(setting.model.heads));
  std::printf("%-8s  %-17s  converted  uptrained\n", "kv heads", "made of");
  train(trained, text, setting.training, setting, context);
  const std::vector<long> kv_heads = {8, 4, 2, 1};
  // With all heads nothing is lost: this is what training on gives by itself.
  const Outcome multi_head = converted_and_uptrained(trained, {.kv_heads = kv_heads[0]}, text, setting, context);
  report(kv_heads[0], "all as they are", multi_head);
  std::vector<chart::Panel> panels = {compare(trained, multi_head, kv_heads, text, setting, context)};
  panels.push_back(time_decoding(trained, kv_heads, decoding, context));
  file << chart::drawn(panels);
  std::printf("\ndrawn to '%s'\n", picture.c_str());
  return file.flush() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    Setting setting;
    DecodingSizes decoding;
    if (count > 1) setting.training.steps = std::atol(arguments[1]);
    // Few steps are for seeing that it works.
    setting.windows.judged = static_cast<int>(std::min(16L, setting.training.steps));
    decoding.context = std::min(4096L, 64 * setting.training.steps);
    if (count > 3 || setting.training.steps < 1) {
      std::cerr << "usage: gqa_uptraining [steps [picture.svg]]\n";
      return 2;
    }
    return run(setting, decoding, count > 2 ? arguments[2] : "gqa_uptraining.svg");
  } catch (const std::exception& error) {
    std::cerr << "gqa_uptraining: " << error.what() << '\n';
    return 1;
  }
}
