// SPDX-License-Identifier: MIT
// What the benchmarks print, from made-up measurements: nothing is timed here.

#include <gtest/gtest.h>

#include <report/reporter.hpp>
#include <report/table.hpp>

#include <limits>
#include <sstream>
#include <stdexcept>

namespace {

using namespace bench;

/// 100 GFLOP/s, 10 GB/s from memory and 50 GB/s from a cache, each twice that with two threads.
Limits machine() {
  Limits limits;
  for (const int threads : {1, 2}) {
    limits.arithmetic.push_back({"portable", threads, 100e9 * threads});
    limits.memory.push_back({1e6, threads, 50e9 * threads, 40e9 * threads});
    limits.memory.push_back({1e9, threads, 10e9 * threads, 8e9 * threads});
  }
  return limits;
}

Measurement measured(const std::string& by, double seconds, int threads = 1, const std::string& type = "float") {
  return {{"product", "2 x 3 x 5", type, by, threads},
          {.operations = 60e9, .bytes_read = 100, .bytes_written = 60},
          seconds,
          1e-7};
}

TEST(BenchName, is_read_back_as_it_was_written) {
  const Name name = {"attention, decoding", "4096 tokens, 32:8 x 128", "bfloat16", "avx2", 2};
  const Name back = Name::from(name.text());
  EXPECT_EQ(name.text(), "attention, decoding/4096 tokens, 32:8 x 128/bfloat16/avx2/2");
  EXPECT_EQ(back.text(), name.text());
  EXPECT_EQ(back.work, name.work);
  EXPECT_EQ(back.threads, 2);
}

TEST(BenchName, of_another_form_is_refused) {
  for (const char* text : {"", "a/b/c/d", "a/b/c/d/", "a/b/c/d/x", "a/b/c/d/1/f", "a/b/c/d/99999"}) {
    EXPECT_THROW(Name::from(text), std::invalid_argument) << text;
  }
}

TEST(BenchLimits, take_the_speed_of_the_smallest_footprint_that_holds_the_bytes) {
  const Limits limits = machine();
  EXPECT_DOUBLE_EQ(limits.memory_seconds({.bytes_read = 1e6}, 1), 1e6 / 50e9);
  EXPECT_DOUBLE_EQ(limits.memory_seconds({.bytes_read = 2e6}, 1), 2e6 / 10e9);
  EXPECT_DOUBLE_EQ(limits.memory_seconds({.bytes_read = 5e9}, 2), 5e9 / 20e9) << "beyond the largest";
  EXPECT_DOUBLE_EQ(limits.memory_seconds({.bytes_read = 3e8, .bytes_written = 1e8}, 1), 2e8 / 8e9 + 2e8 / 10e9)
      << "what is written is copied, the rest read";
  EXPECT_EQ(limits.memory_seconds({.bytes_read = 1}, 3), 0) << "not measured";
  EXPECT_DOUBLE_EQ(limits.arithmetic_seconds({.operations = 1e9}, "portable", 2), 1e9 / 200e9);
  EXPECT_EQ(limits.arithmetic_seconds({.operations = 1e9}, "avx2", 1), 0) << "not measured";
}

TEST(BenchTable, pairs_ours_with_eigen_one_thread_and_the_peers) {
  const std::vector<Measurement> all = {measured("portable", 1.0), measured("portable", 0.625, 2),
                                        measured("torch", 2.0), measured("torch", 1.5, 2),
                                        measured(std::string(plain_eigen), 4.0)};
  const std::vector<Row> rows = pair(all, machine());
  ASSERT_EQ(rows.size(), 2U) << "one row for each of ours";
  EXPECT_TRUE(rows[0].counts_operations);
  EXPECT_DOUBLE_EQ(rows[0].per_second, 60e9);
  EXPECT_DOUBLE_EQ(rows[0].share.value(), 0.6);
  EXPECT_DOUBLE_EQ(rows[0].over_eigen.value(), 4);
  EXPECT_FALSE(rows[0].over_one_thread);
  EXPECT_EQ(rows[0].peer_seconds.at("torch"), 2.0);
  EXPECT_DOUBLE_EQ(rows[1].share.value(), 0.48);
  EXPECT_DOUBLE_EQ(rows[1].over_eigen.value(), 6.4) << "against Eigen's one thread";
  EXPECT_DOUBLE_EQ(rows[1].over_one_thread.value(), 1.6);
  EXPECT_EQ(rows[1].peer_seconds.at("torch"), 1.5) << "with as many threads";
}

TEST(BenchTable, does_not_pair_what_differs) {
  Measurement other_shape = measured(std::string(plain_eigen), 4.0);
  other_shape.name.shape = "2 x 3 x 7";
  Measurement other_work = measured("torch", 2.0);
  other_work.name.work = "linear";
  const std::vector<Measurement> all = {measured("portable", 1.0), measured("avx2", 1.0, 2), other_shape, other_work,
                                        measured("torch", 2.0, 1, "bfloat16")};
  const std::vector<Row> rows = pair(all, machine());
  ASSERT_FALSE(rows.empty());
  for (const Row& row : rows) {
    EXPECT_FALSE(row.over_eigen);
    EXPECT_FALSE(row.over_one_thread) << "one thread of another instruction set";
    EXPECT_TRUE(row.peer_seconds.empty());
  }
}

TEST(BenchTable, holds_another_type_against_eigen_in_float) {
  const std::vector<Measurement> all = {measured("portable", 1.0, 1, "bfloat16"), measured("eigen", 3.0)};
  EXPECT_DOUBLE_EQ(pair(all, machine()).at(0).over_eigen.value(), 3);
  const std::vector<Measurement> both = {measured("portable", 1.0, 1, "bfloat16"), measured("eigen", 3.0),
                                         measured("eigen", 5.0, 1, "bfloat16")};
  EXPECT_DOUBLE_EQ(pair(both, machine()).at(0).over_eigen.value(), 5) << "its own type comes first";
}

TEST(BenchTable, counts_bytes_where_memory_is_the_limit) {
  Measurement each = measured("portable", 1.0);
  each.cost = {.operations = 1e9, .bytes_read = 4e9, .bytes_written = 1e9};
  const Row row = pair(std::vector{each}, machine()).at(0);
  EXPECT_FALSE(row.counts_operations);
  EXPECT_DOUBLE_EQ(row.per_second, 5e9);
  EXPECT_DOUBLE_EQ(row.share.value(), 2e9 / 8e9 + 3e9 / 10e9);
}

TEST(BenchTable, prints_columns_side_by_side) {
  const std::vector<Measurement> all = {measured("portable", 1.0), measured("portable", 0.0005, 2),
                                        measured("torch", 2.5e-6, 2), measured("eigen", 20.0)};
  std::ostringstream text;
  print(text, pair(all, machine()));
  EXPECT_EQ(
      text.str(),
      "work     shape      type   with      threads     time              rate  of limit  x Eigen  x 1 thread  error   "
      " torch  x torch\n"
      "----------------------------------------------------------------------------------------------------------------"
      "---------------\n"
      "product  2 x 3 x 5  float  portable        1  1000 ms      60.0 GFLOP/s      60 %       20              1e-07\n"
      "product  2 x 3 x 5  float  portable        2   500 us  120000.0 GFLOP/s   60000 %    40000        2000  1e-07  "
      "2.50 us     0.01\n");
}

TEST(BenchTable, has_a_digest_of_one_thread) {
  const std::vector<Measurement> all = {measured("portable", 1.0),
                                        measured("portable", 0.5, 2),
                                        measured("torch", 2.5),
                                        measured("eigen", 20.0),
                                        measured("portable", 0.25, 1, "bfloat16"),
                                        measured("avx2", 0.1)};
  std::ostringstream text;
  print_digest(text, pair(all, machine()), "portable");
  EXPECT_EQ(text.str(),
            "| work | shape | time | rate | of limit | x Eigen | x PyTorch | x ONNX Runtime | x by 2 threads |\n"
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
            "| product | 2 x 3 x 5 | 1000 ms | 60 GFLOP/s | 60 % | 20 | 2.50 |  | 2.00 |\n"
            "| product, bfloat16 | 2 x 3 x 5 | 250 ms | 240 GFLOP/s | 240 % | 80 |  |  |  |\n");
}

TEST(BenchTable, of_nothing_is_a_head) {
  std::ostringstream text;
  print(text, std::vector<Row>());
  EXPECT_EQ(text.str().substr(0, 4), "work");
}

using Reported = benchmark::BenchmarkReporter::Run;

Reported made_up(const std::string& name, double seconds, std::int64_t family) {
  Reported run;
  run.run_name.function_name = name;
  run.family_index = family;
  run.per_family_instance_index = 0;
  run.iterations = 10;
  run.real_accumulated_time = 10 * seconds;
  run.counters[counter::operations] = 60e9;
  run.counters[counter::bytes_read] = 100;
  run.counters[counter::error] = 3e-7;
  return run;
}

/// Marks a run as failed: from Google Benchmark 1.8 on by other members.
template <class AnyRun>
void fail(AnyRun& run, const char* why) {
  if constexpr (requires { run.error_occurred; }) {
    run.error_occurred = true;
    run.error_message = why;
  } else {
    run.skipped = std::remove_cvref_t<decltype(run.skipped)>(1);
    run.skip_message = why;
  }
}

TEST(BenchReporter, takes_the_median_of_the_repetitions) {
  const std::string name = "product/2 x 3 x 5/float/portable/1";
  TableReporter reporter(machine());
  Reported mean = made_up(name, 77, 1);
  mean.run_type = Reported::RT_Aggregate;
  reporter.ReportRuns({made_up(name, 9, 1), made_up(name, 1, 1), made_up(name, 2, 1), mean});
  const std::string of_eigen = "product/2 x 3 x 5/float/eigen/1";
  reporter.ReportRuns({made_up(of_eigen, 3, 2), made_up(of_eigen, 5, 2)});
  const std::vector<Row> rows = reporter.rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_DOUBLE_EQ(rows[0].ours.seconds, 2);
  EXPECT_DOUBLE_EQ(rows[0].over_eigen.value(), 2) << "of an even number, the mean of the middle two";
  EXPECT_DOUBLE_EQ(rows[0].ours.error, 3e-7);
  EXPECT_EQ(reporter.failures(), 0);
}

TEST(BenchReporter, keeps_the_order_of_registration) {
  TableReporter reporter(machine());
  reporter.ReportRuns({made_up("b/1/float/portable/1", 1, 7)});
  reporter.ReportRuns({made_up("a/1/float/portable/1", 1, 3)});
  const std::vector<Row> rows = reporter.rows();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].ours.name.work, "a");
}

TEST(BenchReporter, counts_failures_and_names_them) {
  std::ostringstream output;
  std::ostringstream errors;
  TableReporter reporter(machine());
  reporter.SetOutputStream(&output);
  reporter.SetErrorStream(&errors);
  Reported run = made_up("product/2 x 3 x 5/float/portable/1", std::numeric_limits<double>::quiet_NaN(), 1);
  fail(run, "wrong answer");
  reporter.ReportRuns({run});
  reporter.Finalize();
  EXPECT_EQ(reporter.failures(), 1);
  EXPECT_TRUE(reporter.rows().empty()) << "a failed run is in no table";
  EXPECT_NE(errors.str().find("FAILED product/2 x 3 x 5/float/portable/1: wrong answer"), std::string::npos);
}

}  // namespace
