// SPDX-License-Identifier: MIT

#include <report/registration.hpp>

#include <report/reporter.hpp>

#include <exception>
#include <optional>

namespace bench {

namespace {

/// Eigen and the peers need only have done the same: a share of the largest number.
constexpr double same_answer = 1e-4;

std::string wrong_answer(double error) {
  char text[80];
  std::snprintf(text, sizeof text, "wrong answer: the largest error is %.1e of the largest number", error);
  return text;
}

void count(benchmark::State& state, const Cost& cost, double error) {
  state.counters[counter::operations] = cost.operations;
  state.counters[counter::bytes_read] = cost.bytes_read;
  state.counters[counter::bytes_written] = cost.bytes_written;
  state.counters[counter::error] = error;
}

/// What Google Benchmark calls for each repetition, here for Eigen and us.
class OwnTrial {
 public:
  explicit OwnTrial(Planned planned) : planned_(std::move(planned)) {}

  void operator()(benchmark::State& state) {
    if (!trial_) look_at_answer();
    if (!error_.allowed) return state.SkipWithError(wrong_answer(error_.largest).c_str());
    for (auto _ : state) {
      trial_->run();
      benchmark::ClobberMemory();
    }
    count(state, planned_.work.cost, error_.largest);
  }

 private:
  void look_at_answer() {
    Trial trial = planned_.make();
    trial.start();
    trial.run();
    error_ = trial.error();
    if (planned_.name.by == plain_eigen) error_.allowed = error_.largest <= same_answer;
    trial_ = std::move(trial);
  }

  Planned planned_;
  std::optional<Trial> trial_;
  Error error_{0, false};
};

/// The same for a peer, which times a whole repetition by its own clock.
class PeerTrial {
 public:
  PeerTrial(Peer& peer, Planned planned) : peer_(&peer), planned_(std::move(planned)) {}

  void operator()(benchmark::State& state) {
    const int threads = planned_.name.threads;
    if (!error_) error_ = peer_->run(planned_.work, threads, 0).error;
    if (!(*error_ <= same_answer)) return state.SkipWithError(wrong_answer(*error_).c_str());
    const double seconds = peer_->run(planned_.work, threads, state.max_iterations).seconds;
    for (auto _ : state) state.SetIterationTime(seconds / static_cast<double>(state.max_iterations));
    count(state, planned_.work.cost, *error_);
  }

 private:
  Peer* peer_;
  Planned planned_;
  std::optional<double> error_;
};

template <class Run>
benchmark::internal::Benchmark* add(const Name& name, Run run) {
  auto shared = std::make_shared<Run>(std::move(run));
  return benchmark::RegisterBenchmark(name.text().c_str(), [shared](benchmark::State& state) {
    try {
      (*shared)(state);
    } catch (const std::exception& failure) {
      state.SkipWithError(failure.what());
    }
  });
}

}  // namespace

int register_planned(std::span<const std::unique_ptr<Peer>> peers, const Repetitions& repetitions) {
  int count = 0;
  for (const Planned& planned : plan()) {
    if (planned.make) {
      benchmark::internal::Benchmark* const made = add(planned.name, OwnTrial(planned));
      made->UseRealTime();
      ++count;
      if (planned.work.slow && planned.name.by == plain_eigen) made->Repetitions(repetitions.of_slow);
      continue;
    }
    for (const std::unique_ptr<Peer>& peer : peers) {
      if (!peer->knows(planned.work)) continue;
      Planned theirs = planned;
      theirs.name.by = peer->by();
      benchmark::internal::Benchmark* const made = add(theirs.name, PeerTrial(*peer, theirs));
      made->UseManualTime();
      ++count;
      if (planned.work.slow) made->Repetitions(repetitions.of_slow);
    }
  }
  return count;
}

}  // namespace bench
