#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Is told when the blocks that run with a Context begin and end, from the thread that calls them. Derive from it and
/// hand its address to the Context; calls nest as blocks do.
class Profiler {
 public:
  Profiler() = default;
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;
  virtual ~Profiler() = default;
  /// A block begins; calls nest.
  virtual void enter(std::string_view block) = 0;
  /// The block that was entered last ends.
  virtual void leave() = 0;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
