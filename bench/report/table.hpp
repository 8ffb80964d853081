#pragma once
// SPDX-License-Identifier: MIT

#include <report/limits.hpp>

#include <iosfwd>
#include <map>
#include <optional>
#include <span>

namespace bench {

/// A line of the table: our measurement, and what is known of the same work done otherwise.
struct Row {
  Measurement ours;
  bool counts_operations = false;              ///< else bytes: the rate is of what the machine's limits make slower
  double per_second = 0;                       ///< operations or bytes
  std::optional<double> share;                 ///< of this machine's limit
  std::optional<double> over_eigen;            ///< how many times as fast as plain Eigen, which has one thread
  std::optional<double> over_one_thread;       ///< as fast as ours with one thread
  std::map<std::string, double> peer_seconds;  ///< by `by`, with as many threads
};

/// Our measurements in their order, each with those of the same work and shape by others. A type that Eigen was not
/// measured with is held against Eigen's float.
std::vector<Row> pair(std::span<const Measurement> measurements, const Limits& limits);

/// One line for each row; a peer has columns if any row has its time.
void print(std::ostream& out, std::span<const Row> rows);

/// A shorter table, in Markdown, for the README: one line for each work, shape and type, with one thread of the
/// instruction set `by`; of the others how many times as fast ours is.
void print_digest(std::ostream& out, std::span<const Row> rows, std::string_view by);

}  // namespace bench
