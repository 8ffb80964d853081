// SPDX-License-Identifier: MIT

#include <report/reporter.hpp>

#include <algorithm>
#include <ostream>

namespace bench {

namespace {

using Run = benchmark::BenchmarkReporter::Run;

/// Whether a run failed: up to Google Benchmark 1.7 `error_occurred` says so, from 1.8 on `skipped`.
template <class AnyRun>
bool failed(const AnyRun& run) {
  if constexpr (requires { run.error_occurred; }) {
    return run.error_occurred;
  } else {
    return run.skipped != 0;
  }
}
template <class AnyRun>
std::string message(const AnyRun& run) {
  if constexpr (requires { run.error_message; }) {
    return run.error_message;
  } else {
    return run.skip_message;
  }
}

double counter_of(const Run& run, const char* name) {
  const auto found = run.counters.find(name);
  return found == run.counters.end() ? 0 : static_cast<double>(found->second);
}

double median(std::vector<double> numbers) {
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  if (numbers.size() % 2 != 0) return *middle;
  return (*middle + *std::max_element(numbers.begin(), middle)) / 2;
}

}  // namespace

void TableReporter::ReportRuns(const std::vector<Run>& report) {
  for (const Run& run : report) {
    if (failed(run)) {
      ++failures_;
      GetErrorStream() << "FAILED " << run.run_name.function_name << ": " << message(run) << std::endl;
    } else if (run.run_type == Run::RT_Iteration) {
      Gathered& into = gathered_[{run.family_index, run.per_family_instance_index}];
      into.measurement.name = Name::from(run.run_name.function_name);
      into.measurement.cost = {counter_of(run, counter::operations), counter_of(run, counter::bytes_read),
                               counter_of(run, counter::bytes_written)};
      into.measurement.error = counter_of(run, counter::error);
      into.seconds.push_back(run.real_accumulated_time / static_cast<double>(run.iterations));
    }
  }
}

std::vector<Row> TableReporter::rows() const {
  std::vector<Measurement> measurements;
  for (const auto& [order, gathered] : gathered_) {
    measurements.push_back(gathered.measurement);
    measurements.back().seconds = median(gathered.seconds);
  }
  return pair(measurements, limits_);
}

void TableReporter::Finalize() {
  print(GetOutputStream(), rows());
  if (failures_ > 0) GetErrorStream() << failures_ << " runs FAILED: see above" << std::endl;
}

}  // namespace bench
