#pragma once
// SPDX-License-Identifier: MIT

#include <report/table.hpp>

#include <benchmark/benchmark.h>

namespace bench {

/// Names of the counters in which a benchmark says what Google Benchmark does not know.
namespace counter {
inline constexpr const char* operations = "operations";
inline constexpr const char* bytes_read = "bytes_read";
inline constexpr const char* bytes_written = "bytes_written";
inline constexpr const char* error = "error";
}  // namespace counter

/// What Google Benchmark shows its results to: gathers the repetitions of each benchmark, and at the end prints one
/// table of their medians, in the order of registration. A benchmark that failed is named on the error stream.
class TableReporter : public benchmark::BenchmarkReporter {
 public:
  explicit TableReporter(Limits limits) : limits_(std::move(limits)) {}

  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& report) override;
  void Finalize() override;

  int failures() const { return failures_; }
  std::vector<Row> rows() const;

 private:
  struct Gathered {
    Measurement measurement;
    std::vector<double> seconds;
  };
  Limits limits_;
  std::map<std::pair<std::int64_t, std::int64_t>, Gathered> gathered_;  ///< by order of registration
  int failures_ = 0;
};

}  // namespace bench
