// SPDX-License-Identifier: MIT
// Measures this machine's limits, then everything that bench/<room>/ plans, and prints one table. Options are Google
// Benchmark's, and:
//   --short        one repetition of everything, as short as can be: whether all of it runs and is right
//   --no-peers     only ours and plain Eigen
//   --digest=FILE  writes the README's table there, in Markdown
// The JSON of Google Benchmark goes to eigenformer_bench.json unless --benchmark_out says otherwise.

#include <report/limits.hpp>
#include <report/machine.hpp>
#include <report/registration.hpp>
#include <report/reporter.hpp>

#include <eigenformer/core/instruction_set.hpp>

#include <cstdlib>
#include <fstream>
#include <iostream>

namespace {

std::string environment(const char* name, const std::string& otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr || *value == 0 ? otherwise : value;
}

std::vector<std::unique_ptr<bench::Peer>> start_peers() {
  const std::string folder = EIGENFORMER_SOURCE_DIR "/bench/peers/";
  std::vector<std::unique_ptr<bench::Peer>> peers;
  peers.push_back(std::make_unique<bench::Peer>(
      "torch", std::vector<std::string>{environment("EIGENFORMER_BENCH_PYTHON", "python3"), folder + "torch_peer.py"}));
  peers.push_back(std::make_unique<bench::Peer>(
      "onnx", std::vector<std::string>{environment("EIGENFORMER_BENCH_NODE", "node"), folder + "onnx_peer.js"}));
  return peers;
}

void describe(const bench::Limits& limits, std::span<const std::unique_ptr<bench::Peer>> peers) {
  for (const auto& [key, value] : bench::describe_machine()) {
    benchmark::AddCustomContext(key, value);
    std::cout << key << std::string(10 - key.size(), ' ') << value << "\n";
  }
  for (const auto& peer : peers) {
    const std::string text = peer->version().empty() ? "absent: " + peer->absence() : peer->version();
    benchmark::AddCustomContext("peer " + peer->by(), text);
    std::cout << peer->by() << std::string(10 - peer->by().size(), ' ') << text << "\n";
  }
  for (const bench::Limits::Arithmetic& rate : limits.arithmetic) {
    benchmark::AddCustomContext("limit arithmetic " + rate.instruction_set + " " + std::to_string(rate.threads),
                                std::to_string(rate.per_second));
  }
  for (const bench::Limits::Memory& rates : limits.memory) {
    const std::string where = std::to_string(static_cast<long>(rates.footprint)) + " " + std::to_string(rates.threads);
    benchmark::AddCustomContext("limit read " + where, std::to_string(rates.read));
    benchmark::AddCustomContext("limit copy " + where, std::to_string(rates.copy));
  }
  for (const bench::Limits::Integer& rate : limits.integer) {
    benchmark::AddCustomContext("limit int8 " + rate.instructions + " " + std::to_string(rate.threads),
                                std::to_string(rate.per_second));
  }
  std::cout << "\nThe limits of this machine, now:\n";
  print(std::cout, limits);
  std::cout << std::endl;
}

}  // namespace

int main(int count, char** given) {
  std::vector<std::string> words = {given[0],
                                    "--benchmark_repetitions=9",
                                    "--benchmark_enable_random_interleaving=true",
                                    "--benchmark_min_time=0.015",
                                    "--benchmark_out=eigenformer_bench.json",
                                    "--benchmark_out_format=json"};
  bench::Repetitions repetitions;
  bool with_peers = true;
  std::string digest;
  double seconds_of_limits = 0.1;
  for (int i = 1; i < count; ++i) {
    const std::string word = given[i];
    if (word == "--short") {
      words.insert(words.end(), {"--benchmark_repetitions=1", "--benchmark_min_time=0.0001"});
      repetitions.of_slow = 1;
      seconds_of_limits = 0.005;
    } else if (word == "--no-peers") {
      with_peers = false;
    } else if (word.starts_with("--digest=")) {
      digest = word.substr(word.find('=') + 1);
    } else {
      words.push_back(word);
    }
  }
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  int left = static_cast<int>(arguments.size());
  benchmark::Initialize(&left, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(left, arguments.data())) return 2;

  std::vector<std::unique_ptr<bench::Peer>> peers;
  if (with_peers) peers = start_peers();
  const bench::Limits limits = bench::measure_limits(seconds_of_limits);
  describe(limits, peers);
  const int registered = bench::register_planned(peers, repetitions);
  std::cout << registered << " measurements take turns; on two idle cores that takes about two minutes.\n" << std::endl;
  bench::TableReporter table(limits);
  const std::size_t matched = benchmark::RunSpecifiedBenchmarks(&table);
  benchmark::Shutdown();
  if (!digest.empty()) {
    std::ofstream file(digest);
    print_digest(file, table.rows(), eigenformer::name(eigenformer::best_instruction_set()));
  }
  return matched == 0 || table.failures() > 0 ? 1 : 0;
}
