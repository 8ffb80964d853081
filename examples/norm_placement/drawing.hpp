#pragma once
// SPDX-License-Identifier: MIT

#include <string>
#include <vector>

/// One line of a chart: y at steps 0, 1, 2, ... A y that is no number ends the line.
struct Curve {
  std::string name;
  std::string color;
  bool dashed = false;
  std::vector<double> y;
};

/// Curves over the same steps.
struct Panel {
  std::string title;
  std::vector<Curve> curves;
};

struct Axes {
  std::string x;
  std::string y;
  double lowest = 0;
  double highest = 1;  ///< what is above is cut off
};

/// The panels side by side, under one legend, as a picture in SVG.
std::string drawn(const std::vector<Panel>& panels, const Axes& axes);
