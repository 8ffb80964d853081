#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/model/gpt3_decoder.hpp>

#include "support/inputs.hpp"

#include <vector>

// What tests of decoders that go on from prompts share.
namespace prompted {

namespace ef = eigenformer;
using ef::Index;
using Ints = std::vector<std::int32_t>;

inline Ints text(Index length, std::uint64_t salt, Index vocabulary = 29) {
  support::Generator random(salt);
  Ints tokens(static_cast<std::size_t>(length));
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random.integer(vocabulary));
  return tokens;
}

/// Three layers, with weights so far from those at the start that the model does not only repeat what it reads.
template <class Model>
Model small_model(Index vocabulary = 29) {
  using T = typename Model::Scalar;
  typename Model::Options options;
  options.vocabulary = vocabulary;
  options.dim = 14;
  options.layers = 3;
  options.heads = 2;
  options.hidden = 19;
  options.embedding_deviation = 0.5;
  if constexpr (Model::adds_positions) {
    options.max_length = 79;
    options.bandwidth = 5;
    options.position_deviation = 0.5;
  } else {
    options.kv_heads = 1;
    options.head_dim = 8;
  }
  Model model(options, ef::Random(3));
  support::Generator random(5);
  model.visit_parameters([&]<class P>(const ef::Name&, P& parameter) {
    if constexpr (P::rank == 2) {
      for (T& value : parameter.values()) value += static_cast<T>(0.3 * random.normal());
    }
  });
  return model;
}

}  // namespace prompted
