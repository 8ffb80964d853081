// SPDX-License-Identifier: MIT

#include <report/measurement.hpp>

#include <stdexcept>
#include <vector>

namespace bench {

std::string Name::text() const { return work + "/" + shape + "/" + type + "/" + by + "/" + std::to_string(threads); }

Name Name::from(std::string_view text) {
  std::vector<std::string> parts(1);
  for (const char letter : text) {
    if (letter == '/') {
      parts.emplace_back();
    } else {
      parts.back() += letter;
    }
  }
  const bool number = parts.size() == 5 && !parts[4].empty() &&
                      parts[4].find_first_not_of("0123456789") == std::string::npos && parts[4].size() < 5;
  if (!number) throw std::invalid_argument("expected work/shape/type/by/threads, got " + std::string(text));
  return {parts[0], parts[1], parts[2], parts[3], std::stoi(parts[4])};
}

}  // namespace bench
