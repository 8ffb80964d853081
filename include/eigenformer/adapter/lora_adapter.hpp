#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_options.hpp>
#include <eigenformer/adapter/row_runs.hpp>
#include <eigenformer/core/parameter.hpp>

#include <string>

namespace eigenformer::inline EIGENFORMER_ABI {

/// One adapter of a Lora: two thin matrices whose product is added to the base's weight, and what they were made from.
/// Its parameters are named as in PEFT's files.
template <class T>
struct LoraAdapter {
  std::string name;  ///< by which it is switched, merged and removed; not empty, without dots
  LoraOptions options{};
  Parameter<T, 2> a{};                      ///< [rank, in]
  Parameter<T, 2> b{};                      ///< [out, rank]
  std::optional<Parameter<T>> magnitude{};  ///< of DoRA, [out]

  double scale() const { return lora_scale(options); }  ///< the factor of the product B A
  static void members(auto& self, auto&& visit) {
    visit("lora_A", self.a);
    visit("lora_B", self.b);
    visit("lora_magnitude_vector", self.magnitude);
  }
};

/// What an adapter does in forward: nothing; add its product; or nothing, because the weight has it in already.
enum class AdapterState { idle, active, merged };

/// What a cache notes of every adapter.
struct AdapterInForward {
  AdapterState state = AdapterState::idle;  ///< in forward
  Buffer<RowRun> rows{};                    ///< that it was applied to
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
