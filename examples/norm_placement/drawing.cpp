// SPDX-License-Identifier: MIT

#include "drawing.hpp"

#include <algorithm>
#include <cstdio>
#include <sstream>

namespace {

constexpr double width = 420, height = 300, left = 56, top = 34, gap = 40, below = 104;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

/// A label; its anchor is start, middle or end.
std::string label(double x, double y, const std::string& anchor, const std::string& text) {
  return "<text x='" + number(x) + "' y='" + number(y) + "' text-anchor='" + anchor + "'>" + text + "</text>\n";
}
std::string line(double x1, double y1, double x2, double y2, const std::string& style) {
  return "<line x1='" + number(x1) + "' y1='" + number(y1) + "' x2='" + number(x2) + "' y2='" + number(y2) + "' " +
         style + "/>\n";
}
std::string style_of(const Curve& curve) {
  return "stroke='" + curve.color + "' stroke-width='1.6' fill='none'" +
         (curve.dashed ? " stroke-dasharray='5 3'" : "");
}

class PanelDrawing {
 public:
  PanelDrawing(const Panel& panel, const Axes& axes, double x) : panel_(panel), axes_(axes), x_(x) {
    for (const Curve& curve : panel.curves) steps_ = std::max(steps_, curve.y.size());
  }

  std::string text() const {
    std::string result = label(x_ + width / 2, top - 12, "middle", panel_.title);
    for (int i = 0; i <= 4; ++i) {
      const double value = axes_.lowest + (axes_.highest - axes_.lowest) * i / 4;
      result += line(x_, at(value), x_ + width, at(value), "stroke='#dddddd'");
      result += label(x_ - 6, at(value) + 4, "end", number(value));
      const double step = static_cast<double>(steps_) * i / 4;
      result += label(x_ + width * i / 4, top + height + 18, "middle", number(step));
    }
    for (const Curve& curve : panel_.curves) result += points(curve);
    return result + label(x_ + width / 2, top + height + 36, "middle", axes_.x);
  }

 private:
  double at(double value) const {
    const double share = (value - axes_.lowest) / (axes_.highest - axes_.lowest);
    return top + height * (1 - std::clamp(share, 0.0, 1.0));
  }
  std::string points(const Curve& curve) const {
    std::ostringstream result;
    result << "<polyline " << style_of(curve) << " points='";
    for (std::size_t i = 0; i < curve.y.size() && curve.y[i] < 1e30; ++i) {
      const double share = static_cast<double>(i + 1) / static_cast<double>(steps_);
      result << number(x_ + width * share) << ',' << number(at(curve.y[i])) << ' ';
    }
    result << "'/>\n";
    return result.str();
  }

  const Panel& panel_;
  const Axes& axes_;
  double x_;
  std::size_t steps_ = 1;
};

}  // namespace

std::string drawn(const std::vector<Panel>& panels, const Axes& axes) {
  const double all = left + static_cast<double>(panels.size()) * (width + left) + gap;
  const double total = top + height + below;
  std::string svg = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 " + number(all) + " " + number(total) +
                    "' font-family='sans-serif' font-size='12' fill='#222222'>\n<rect width='100%' height='100%' "
                    "fill='white'/>\n";
  double x = left + 10;
  for (const Panel& panel : panels) {
    svg += PanelDrawing(panel, axes, x).text();
    x += width + left;
  }
  svg += "<text transform='translate(16 " + number(top + height / 2) + ") rotate(-90)' text-anchor='middle'>" + axes.y +
         "</text>\n";
  const std::vector<Curve>& curves = panels.front().curves;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const double from = left + 10 + 320 * static_cast<double>(i % 3);
    const double row = total - 42 + 20 * static_cast<double>(i / 3);
    svg += line(from, row, from + 26, row, style_of(curves[i]));
    svg += label(from + 32, row + 4, "start", curves[i].name);
  }
  return svg + "</svg>\n";
}
