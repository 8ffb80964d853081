#pragma once
// SPDX-License-Identifier: MIT

#include <report/peer.hpp>

#include <memory>
#include <span>

namespace bench {

/// How often what is slow by Eigen or a peer (Work::slow) is repeated.
struct Repetitions {
  int of_slow = 3;
};

/// Gives Google Benchmark all that is planned: ours, Eigen's, and for each peer that is there what it knows. In the
/// order of the plan; Google Benchmark's random interleaving takes turns between all of them. Returns their number.
int register_planned(std::span<const std::unique_ptr<Peer>> peers, const Repetitions& repetitions);

}  // namespace bench
