// SPDX-License-Identifier: MIT

#include <report/table.hpp>

#include <eigenformer/core/instruction_set.hpp>

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <set>

namespace bench {

namespace {

namespace ef = eigenformer;

bool is_ours(const Name& name) {
  return std::any_of(ef::all_instruction_sets.begin(), ef::all_instruction_sets.end(),
                     [&](ef::InstructionSet set) { return ef::name(set) == name.by; });
}

/// The first measurement that is of the same work and shape as `name`, and which `matches`.
template <class Matches>
const Measurement* find(std::span<const Measurement> measurements, const Name& name, const Matches& matches) {
  for (const Measurement& each : measurements) {
    if (each.name.work == name.work && each.name.shape == name.shape && matches(each.name)) return &each;
  }
  return nullptr;
}

Row row_of(const Measurement& ours, std::span<const Measurement> all, const Limits& limits) {
  const Name& name = ours.name;
  Row row;
  row.ours = ours;
  const double arithmetic = limits.arithmetic_seconds(ours.cost, name.by, name.threads);
  const double memory = limits.memory_seconds(ours.cost, name.threads);
  row.counts_operations = ours.cost.operations > 0 && arithmetic >= memory;
  const double bytes = ours.cost.bytes_read + ours.cost.bytes_written;
  row.per_second = (row.counts_operations ? ours.cost.operations : bytes) / ours.seconds;
  const double least = (std::max)(arithmetic, memory);
  if (least > 0) row.share = least / ours.seconds;
  const Measurement* eigen =
      find(all, name, [&](const Name& other) { return other.by == plain_eigen && other.type == name.type; });
  if (eigen == nullptr) {
    eigen = find(all, name, [](const Name& other) { return other.by == plain_eigen && other.type == "float"; });
  }
  if (eigen != nullptr) row.over_eigen = eigen->seconds / ours.seconds;
  if (name.threads > 1) {
    const Measurement* one = find(all, name, [&](const Name& other) {
      return other.by == name.by && other.type == name.type && other.threads == 1;
    });
    if (one != nullptr) row.over_one_thread = one->seconds / ours.seconds;
  }
  for (const Measurement& each : all) {
    const Name& other = each.name;
    const bool same = other.work == name.work && other.shape == name.shape && other.type == name.type &&
                      other.threads == name.threads;
    if (same && other.by != plain_eigen && !is_ours(other)) row.peer_seconds[other.by] = each.seconds;
  }
  return row;
}

/// Three digits with a unit.
std::string time_text(double seconds) {
  const bool nanoseconds = seconds < 0.9995e-6;
  const bool microseconds = seconds < 0.9995e-3;
  const double number = seconds * (nanoseconds ? 1e9 : microseconds ? 1e6 : 1e3);
  char text[32];
  std::snprintf(text, sizeof text, "%.*f %s",
                number < 9.995   ? 2
                : number < 99.95 ? 1
                                 : 0,
                number,
                nanoseconds    ? "ns"
                : microseconds ? "us"
                               : "ms");
  return text;
}

std::string number_text(const char* format, std::optional<double> number) {
  if (!number) return "";
  char text[32];
  std::snprintf(text, sizeof text, format, *number);
  return text;
}

std::string ratio_text(std::optional<double> ratio) {
  return number_text(ratio && *ratio < 10 ? "%.2f" : "%.0f", ratio);
}

struct Column {
  std::string title;
  bool numbers;
  std::vector<std::string> cells;
};

/// Columns side by side, each as wide as its widest cell.
void print_columns(std::ostream& out, const std::vector<Column>& columns) {
  std::vector<std::size_t> widths;
  for (const Column& column : columns) {
    std::size_t width = column.title.size();
    for (const std::string& cell : column.cells) width = (std::max)(width, cell.size());
    widths.push_back(width);
  }
  const auto line = [&](const auto& cell_of) {
    std::string text;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string& cell = cell_of(columns[i]);
      const std::string padding(widths[i] - cell.size(), ' ');
      text += (i == 0 ? "" : "  ") + (columns[i].numbers ? padding + cell : cell + padding);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out << text << "\n";
  };
  line([](const Column& column) -> const std::string& { return column.title; });
  std::size_t width = 2 * (columns.size() - 1);
  for (const std::size_t each : widths) width += each;
  out << std::string(width, '-') << "\n";
  for (std::size_t i = 0; i < columns.front().cells.size(); ++i) {
    line([i](const Column& column) -> const std::string& { return column.cells[i]; });
  }
}

}  // namespace

std::vector<Row> pair(std::span<const Measurement> measurements, const Limits& limits) {
  std::vector<Row> rows;
  for (const Measurement& each : measurements) {
    if (is_ours(each.name)) rows.push_back(row_of(each, measurements, limits));
  }
  return rows;
}

void print(std::ostream& out, std::span<const Row> rows) {
  std::set<std::string> peers;
  for (const Row& row : rows) {
    for (const auto& [peer, seconds] : row.peer_seconds) peers.insert(peer);
  }
  std::vector<Column> columns;
  const auto add = [&](const std::string& title, bool numbers, const auto& cell_of) {
    Column column{title, numbers, {}};
    for (const Row& row : rows) column.cells.push_back(cell_of(row));
    columns.push_back(std::move(column));
  };
  add("work", false, [](const Row& row) { return row.ours.name.work; });
  add("shape", false, [](const Row& row) { return row.ours.name.shape; });
  add("type", false, [](const Row& row) { return row.ours.name.type; });
  add("with", false, [](const Row& row) { return row.ours.name.by; });
  add("threads", true, [](const Row& row) { return std::to_string(row.ours.name.threads); });
  add("time", true, [](const Row& row) { return time_text(row.ours.seconds); });
  add("rate", true, [](const Row& row) {
    return number_text(row.counts_operations ? "%.1f GFLOP/s" : "%.1f GB/s   ", row.per_second * 1e-9);
  });
  add("of limit", true, [](const Row& row) {
    return number_text("%.0f %%", row.share ? std::optional(100 * *row.share) : std::nullopt);
  });
  add("x Eigen", true, [](const Row& row) { return ratio_text(row.over_eigen); });
  add("x 1 thread", true, [](const Row& row) { return ratio_text(row.over_one_thread); });
  add("error", true, [](const Row& row) { return number_text("%.0e", row.ours.error); });
  for (const std::string& peer : peers) {
    const auto seconds_of = [&peer](const Row& row) {
      const auto found = row.peer_seconds.find(peer);
      return found == row.peer_seconds.end() ? std::nullopt : std::optional(found->second);
    };
    add(peer, true, [&](const Row& row) {
      const std::optional<double> seconds = seconds_of(row);
      return seconds ? time_text(*seconds) : std::string();
    });
    add("x " + peer, true, [&](const Row& row) {
      const std::optional<double> seconds = seconds_of(row);
      return ratio_text(seconds ? std::optional(*seconds / row.ours.seconds) : std::nullopt);
    });
  }
  print_columns(out, columns);
}

void print_digest(std::ostream& out, std::span<const Row> rows, std::string_view by) {
  const auto over = [](const Row& row, const char* peer) {
    const auto found = row.peer_seconds.find(peer);
    return ratio_text(found == row.peer_seconds.end() ? std::nullopt : std::optional(found->second / row.ours.seconds));
  };
  out << "| work | shape | time | rate | of limit | x Eigen | x PyTorch | x ONNX Runtime | x by 2 threads |\n"
      << "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const Row& row : rows) {
    const Name& name = row.ours.name;
    if (name.by != by || name.threads != 1) continue;
    std::optional<double> by_two;
    for (const Row& other : rows) {
      const Name& same = other.ours.name;
      const bool twin =
          same.work == name.work && same.shape == name.shape && same.type == name.type && same.by == name.by;
      if (twin && same.threads == 2) by_two = other.over_one_thread;
    }
    out << "| " << name.work << (name.type == "float" ? "" : ", " + name.type) << " | " << name.shape << " | "
        << time_text(row.ours.seconds) << " | "
        << number_text(row.counts_operations ? "%.0f GFLOP/s" : "%.0f GB/s", row.per_second * 1e-9) << " | "
        << number_text("%.0f %%", row.share ? std::optional(100 * *row.share) : std::nullopt) << " | "
        << ratio_text(row.over_eigen) << " | " << over(row, "torch") << " | " << over(row, "onnx") << " | "
        << ratio_text(by_two) << " |\n";
  }
}

}  // namespace bench
