// SPDX-License-Identifier: MIT

#include <report/machine.hpp>

#include <Eigen/Core>

#include <cstdio>
#include <fstream>
#include <thread>

namespace bench {

namespace {

std::string processor() {
  std::ifstream lines("/proc/cpuinfo");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

/// The first line that a command prints.
std::string output_of(const std::string& command) {
  std::string line;
  std::FILE* const output = ::popen(command.c_str(), "r");
  if (output == nullptr) return line;
  for (int letter = std::fgetc(output); letter != EOF && letter != '\n'; letter = std::fgetc(output)) {
    line += static_cast<char>(letter);
  }
  ::pclose(output);
  return line;
}

std::string commit() {
  const std::string found =
      output_of("git -C '" EIGENFORMER_SOURCE_DIR "' describe --always --dirty --abbrev=12 2>/dev/null");
  return found.empty() ? "unknown" : found;
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

}  // namespace

std::vector<std::pair<std::string, std::string>> describe_machine() {
  return {{"cpu", processor() + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores"},
          {"compiler", compiler()},
          {"flags", EIGENFORMER_BENCH_FLAGS},
          {"kernels", EIGENFORMER_BENCH_KERNELS},
          {"eigen", std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                        std::to_string(EIGEN_MINOR_VERSION)},
          {"commit", commit()}};
}

}  // namespace bench
