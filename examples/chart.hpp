#pragma once
// SPDX-License-Identifier: MIT

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

/// Line charts as pictures in SVG, for what examples measure.
namespace chart {

/// A place on an axis and what stands beside it.
struct Tick {
  double at = 0;
  std::string text;
};

struct Axis {
  std::string label;
  double lowest = 0;
  double highest = 1;            ///< what is beyond is drawn at the edge
  std::vector<Tick> ticks = {};  ///< five, evenly, if there are none
};

/// One line. A y that is no number ends it. Where points are few, each is marked.
struct Curve {
  std::string name;
  std::string color;
  bool dashed = false;
  std::vector<double> x;
  std::vector<double> y;
};

/// Curves over the same axes.
struct Panel {
  std::string title;
  Axis x;
  Axis y;
  std::vector<Curve> curves = {};
};

constexpr double width = 420, height = 300, left = 56, top = 34, gap = 40, below = 64;

inline std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}
/// A label; its anchor is start, middle or end.
inline std::string label(double x, double y, const std::string& anchor, const std::string& text) {
  return "<text x='" + number(x) + "' y='" + number(y) + "' text-anchor='" + anchor + "'>" + text + "</text>\n";
}
inline std::string line(double x1, double y1, double x2, double y2, const std::string& style) {
  return "<line x1='" + number(x1) + "' y1='" + number(y1) + "' x2='" + number(x2) + "' y2='" + number(y2) + "' " +
         style + "/>\n";
}
inline std::string style_of(const Curve& curve) {
  return "stroke='" + curve.color + "' stroke-width='1.6' fill='none'" +
         (curve.dashed ? " stroke-dasharray='5 3'" : "");
}
inline std::vector<Tick> ticks_of(const Axis& axis) {
  if (!axis.ticks.empty()) return axis.ticks;
  std::vector<Tick> ticks;
  for (int i = 0; i <= 4; ++i) {
    const double at = axis.lowest + (axis.highest - axis.lowest) * i / 4;
    ticks.push_back({at, number(at)});
  }
  return ticks;
}

/// At the multiples of `step` from lowest to highest.
inline std::vector<Tick> ticks_every(double step, const Axis& axis) {
  std::vector<Tick> ticks;
  for (double at = axis.lowest; at <= axis.highest; at += step) ticks.push_back({at, number(at)});
  return ticks;
}

/// A panel whose left edge is at `x`.
class PanelDrawing {
 public:
  PanelDrawing(const Panel& panel, double x) : panel_(panel), x_(x) {}

  std::string text() const {
    std::string result = label(x_ + width / 2, top - 12, "middle", panel_.title);
    for (const Tick& tick : ticks_of(panel_.y)) {
      result += line(x_, down(tick.at), x_ + width, down(tick.at), "stroke='#dddddd'");
      result += label(x_ - 6, down(tick.at) + 4, "end", tick.text);
    }
    for (const Tick& tick : ticks_of(panel_.x)) {
      result += label(across(tick.at), top + height + 18, "middle", tick.text);
    }
    for (const Curve& curve : panel_.curves) result += points(curve);
    return result + label(x_ + width / 2, top + height + 36, "middle", panel_.x.label);
  }
  std::string y_label() const {
    return "<text transform='translate(" + number(x_ - 50) + " " + number(top + height / 2) +
           ") rotate(-90)' text-anchor='middle'>" + panel_.y.label + "</text>\n";
  }

 private:
  static double share(const Axis& axis, double value) {
    return std::clamp((value - axis.lowest) / (axis.highest - axis.lowest), 0.0, 1.0);
  }
  double across(double value) const { return x_ + width * share(panel_.x, value); }
  double down(double value) const { return top + height * (1 - share(panel_.y, value)); }

  std::string points(const Curve& curve) const {
    std::ostringstream line, marks;
    const std::size_t count = std::min(curve.x.size(), curve.y.size());
    for (std::size_t i = 0; i < count && curve.y[i] < 1e30; ++i) {
      const std::string x = number(across(curve.x[i])), y = number(down(curve.y[i]));
      line << x << ',' << y << ' ';
      if (count <= 10) marks << "<circle cx='" << x << "' cy='" << y << "' r='3' fill='" << curve.color << "'/>\n";
    }
    return "<polyline " + style_of(curve) + " points='" + line.str() + "'/>\n" + marks.str();
  }

  const Panel& panel_;
  double x_;
};

/// The panels side by side, above one legend: that of the first panel's curves. A label of y that repeats the one to its
/// left is left out.
inline std::string drawn(const std::vector<Panel>& panels) {
  std::string body, y_label;
  double x = left + 10;
  for (const Panel& panel : panels) {
    const bool own_label = panel.y.label != y_label;
    if (own_label && !y_label.empty()) x += 30;
    const PanelDrawing drawing(panel, x);
    body += drawing.text();
    if (own_label) body += drawing.y_label();
    y_label = panel.y.label;
    x += width + left;
  }
  const std::vector<Curve>& curves = panels.front().curves;
  const double all = x + gap - 10;
  const double legend = 20 * std::max(2.0, std::ceil(static_cast<double>(curves.size()) / 3));
  const double total = top + height + below + legend;
  std::string svg = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 " + number(all) + " " + number(total) +
                    "' font-family='sans-serif' font-size='12' fill='#222222'>\n<rect width='100%' height='100%' "
                    "fill='white'/>\n" +
                    body;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const double from = left + 10 + 320 * static_cast<double>(i % 3);
    const double row = total - 2 - legend + 20 * static_cast<double>(i / 3);
    svg += line(from, row, from + 26, row, style_of(curves[i]));
    svg += label(from + 32, row + 4, "start", curves[i].name);
  }
  return svg + "</svg>\n";
}

}  // namespace chart
