#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>

#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What the sequences of a batch are called, in a Context, for blocks that treat each in its own way: Lora takes the label
/// for the name of an adapter.
struct SequenceLabels {
  std::vector<std::string> labels;  ///< of each sequence in the order of the batch; "" for none
  std::vector<Index> lengths = {};  ///< rows of each; all have the same if empty

  /// Calls visit(label, first, count) with the rows of each sequence in a batch of `rows` rows: its length, or one row of
  /// each, such as the last; without lengths an equal share.
  ///   throws ShapeError if the rows cannot be those of the sequences
  template <class Visit>
  void visit(Index rows, std::string_view block, const Visit& visit) const {
    const auto sequences = static_cast<Index>(labels.size());
    const bool by_length = !lengths.empty() && rows == std::accumulate(lengths.begin(), lengths.end(), Index(0));
    const bool in_shares = sequences > 0 && (lengths.empty() ? rows % sequences == 0 : rows == sequences);
    require(by_length || in_shares, block, "expected the rows of ", sequences, " labelled sequences, got ", rows);
    Index first = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const Index count = by_length ? lengths[i] : rows / sequences;
      visit(std::string_view(labels[i]), first, count);
      first += count;
    }
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
