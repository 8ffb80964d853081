// SPDX-License-Identifier: MIT

#include "profile.hpp"

#include <algorithm>
#include <cstdio>

void TimeProfile::print(std::ostream& out) const {
  std::vector<std::pair<std::string, double>> blocks(seconds_.begin(), seconds_.end());
  std::sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  double total = 0;
  for (const auto& [name, seconds] : blocks) total += seconds;
  for (const auto& [name, seconds] : blocks) {
    char line[120];
    std::snprintf(line, sizeof line, "  %-32.40s %8.3f s %5.1f %%\n", name.c_str(), seconds, 100 * seconds / total);
    out << line;
  }
}
