#pragma once
// SPDX-License-Identifier: MIT

#include "chart.hpp"
#include "contest.hpp"

#include <cmath>

/// A line for each family of methods, in the order in which they appear: something of each outcome against the logarithm of
/// what is trained.
template <class Height>
std::vector<chart::Curve> curves_of(const std::vector<Method>& all, const std::vector<Outcome>& outcomes,
                                    const Height& height) {
  static const std::vector<std::string> colors = {"#222222", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#d62728"};
  std::vector<chart::Curve> curves;
  for (std::size_t m = 0; m < all.size(); ++m) {
    auto curve = std::find_if(curves.begin(), curves.end(),
                              [&](const chart::Curve& known) { return known.name == all[m].family; });
    if (curve == curves.end()) {
      curves.push_back({all[m].family, colors[curves.size() % colors.size()], false, {}, {}});
      curve = curves.end() - 1;
    }
    curve->x.push_back(std::log10(static_cast<double>(outcomes[m].learner->footprint().share.trainable)));
    curve->y.push_back(height(outcomes[m]));
  }
  return curves;
}

/// The axis of parameters, on which each factor of ten is one step.
inline chart::Axis parameters_axis(const std::vector<chart::Curve>& curves) {
  chart::Axis axis = {.label = "trained parameters", .lowest = 1e30, .highest = 0};
  for (const chart::Curve& curve : curves) {
    for (const double x : curve.x) axis.lowest = std::min(axis.lowest, std::floor(x));
    for (const double x : curve.x) axis.highest = std::max(axis.highest, std::ceil(x));
  }
  for (double at = axis.lowest; at <= axis.highest; ++at) {
    axis.ticks.push_back({at, chart::number(std::pow(10, at))});
  }
  return axis;
}

/// Loss and speed of training against what is trained; a dashed line is the loss before.
inline std::string drawn(const std::vector<Method>& all, const std::vector<Outcome>& outcomes, double before) {
  chart::Panel loss = {.title = "loss", .x = {}, .y = {.label = "held-out text, bits per byte"}};
  loss.curves = curves_of(all, outcomes, [](const Outcome& outcome) { return outcome.bits; });
  loss.x = parameters_axis(loss.curves);
  loss.y.highest = std::ceil(4 * before) / 4;
  loss.y.lowest = loss.y.highest;
  for (const Outcome& outcome : outcomes) loss.y.lowest = std::min(loss.y.lowest, std::floor(4 * outcome.bits) / 4);
  loss.y.ticks = chart::ticks_every(0.25, loss.y);
  loss.curves.push_back({"the base", "#888888", true, {loss.x.lowest, loss.x.highest}, {before, before}});

  chart::Panel speed = {.title = "speed", .x = loss.x, .y = {.label = "steps per second, times full fine-tuning"}};
  const double full = outcomes.front().seconds;
  speed.curves = curves_of(all, outcomes, [&](const Outcome& outcome) { return full / outcome.seconds; });
  for (const Outcome& outcome : outcomes)
    speed.y.highest = std::max(speed.y.highest, std::ceil(2 * full / outcome.seconds) / 2);
  speed.y.ticks = chart::ticks_every(0.5, speed.y);
  return chart::drawn({loss, speed});
}
