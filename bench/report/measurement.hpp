#pragma once
// SPDX-License-Identifier: MIT

#include <string>
#include <string_view>

namespace bench {

/// Who did what. As text, "work/shape/type/by/threads", it is the name of a benchmark.
struct Name {
  std::string work;
  std::string shape;
  std::string type = "float";
  std::string by;  ///< one of our instruction sets, or `eigen`, `torch`, `onnx`
  int threads = 1;

  std::string text() const;
  /// Throws std::invalid_argument for a text of another form.
  static Name from(std::string_view text);
};

inline constexpr std::string_view plain_eigen = "eigen";

/// What a work cannot do without: arithmetic (a multiplication and an addition are two operations) and traffic, each
/// array counted once.
struct Cost {
  double operations = 0;
  double bytes_read = 0;
  double bytes_written = 0;
  bool of_bytes = false;  ///< the arithmetic is on 8-bit integers
};

/// The median of a benchmark's repetitions, and the error of its answer, which was looked at before.
struct Measurement {
  Name name;
  Cost cost;
  double seconds = 0;
  double error = 0;  ///< the largest, against double, as a share of the largest number of the answer
};

}  // namespace bench
