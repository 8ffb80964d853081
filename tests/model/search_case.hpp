#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/memory.hpp>
#include <eigenformer/core/context.hpp>
#include <eigenformer/core/rows.hpp>
#include <eigenformer/core/tokens.hpp>
#include <eigenformer/model/encoder_decoder.hpp>

#include "support/inputs.hpp"

#include <functional>
#include <vector>

namespace search {

namespace ef = eigenformer;
using ef::Index;
using Prefix = std::vector<std::int32_t>;

/// A model whose logits a function of source and prefix says, so that a search can be put into any situation. Its caches
/// are the prefixes themselves.
struct TableModel {
  using Scalar = double;
  struct KeyValues {
    std::vector<Index> lengths;
    std::vector<Prefix> prefixes;
    Index sequences = 1;
    void copy_sequence(Index from, Index to) {
      prefixes[static_cast<std::size_t>(to)] = prefixes[static_cast<std::size_t>(from)];
    }
  };
  using Source = Index;  ///< how many

  Index vocabulary() const { return size; }
  KeyValues key_values(const Source& sources, const ef::CrossKeyValuesOptions& options, ef::Context&) const {
    return {std::vector<Index>(static_cast<std::size_t>(sources), 1),
            std::vector<Prefix>(static_cast<std::size_t>(sources * options.sequences)), options.sequences};
  }
  void next_logits(ef::TokensView tokens, ef::RowsView<double> logits, KeyValues& key_values, ef::Context&) const {
    for (Index row = 0; row < tokens.size(); ++row) {
      Prefix& prefix = key_values.prefixes[static_cast<std::size_t>(row)];
      prefix.push_back(tokens[row]);
      const std::vector<double> of = logits_of(row / key_values.sequences, prefix);
      for (Index v = 0; v < size; ++v) logits(row, v) = of[static_cast<std::size_t>(v)];
    }
  }

  Index size = 0;
  std::function<std::vector<double>(Index source, const Prefix& prefix)> logits_of;
};

/// A small Transformer with weights so far from those at the start that it does not only repeat what it reads.
template <class T>
ef::Transformer<T> small_transformer(Index vocabulary) {
  ef::Transformer<T> model({.vocabulary = vocabulary,
                            .dim = 10,
                            .encoder_layers = 1,
                            .decoder_layers = 2,
                            .heads = 2,
                            .hidden = 17,
                            .embedding_deviation = 0.5},
                           ef::Random(1));
  support::Generator random(3);
  model.visit_parameters([&]<class P>(const ef::Name&, P& parameter) {
    if constexpr (P::rank == 2) {  // biases would speak for the same token at every step
      for (T& value : parameter.values()) value += static_cast<T>(0.8 * random.normal());
    }
  });
  return model;
}

}  // namespace search
