#pragma once
// SPDX-License-Identifier: MIT

#include <vector>

/// Energy of one addition and one multiplication, in picojoules.
struct Operation {
  double add = 0;
  double multiply = 0;
};

/// Table 1 of Wang et al. 2023, "BitNet": a process of 45 nm (Horowitz 2014) and one of 7 nm (Zhang et al. 2022).
struct Process {
  const char* name;
  Operation float32;
  Operation int8;
};
inline const std::vector<Process>& processes() {
  static const std::vector<Process> all = {{"45 nm", {0.9, 3.7}, {0.03, 0.2}}, {"7 nm", {0.38, 1.31}, {0.007, 0.07}}};
  return all;
}

/// Products of a float matrix [out, in] with one token (section 2.3, equations 13 and 14).
inline double energy_of_linear(double out, double in, const Process& process) {
  return out * (in - 1) * process.float32.add + out * in * process.float32.multiply;
}
/// The same of bits: additions of 8-bit numbers, and multiplications by the scales alone (equation 15).
inline double energy_of_bits(double out, double in, const Process& process) {
  return out * (in - 1) * process.int8.add + (out + in) * process.float32.multiply;
}
