#pragma once
// SPDX-License-Identifier: MIT

#include "method.hpp"
#include "train_language_model/writing.hpp"

#include <eigenformer/adapter/assigned.hpp>

/// What a model writes behind a prompt with each of some adapters, "" being the base: one batch, in which each sequence
/// has its own adapter.
inline std::vector<std::string> written_side_by_side(const Adaptable& model, const std::vector<std::string>& adapters,
                                                     const std::string& prompt, long bytes, ef::Context& context) {
  const ef::Assigned assigned(context, model, adapters);
  const auto sequences = static_cast<long>(adapters.size());
  const auto read = static_cast<long>(prompt.size());
  Adaptable::KeyValues key_values = model.key_values(sequences, read + bytes);
  ef::Tensor<std::int32_t, 2> tokens(sequences, read);
  for (long s = 0; s < sequences; ++s) {
    for (long i = 0; i < read; ++i) tokens(s, i) = static_cast<unsigned char>(prompt[static_cast<std::size_t>(i)]);
  }
  ef::Matrix<float> logits(sequences, 256);
  std::vector<std::string> texts(adapters.size());
  // The same draws for all, so that they differ by their adapters alone.
  std::vector<ef::Random> draws(adapters.size(), ef::Random(6));
  for (long i = 0; i < bytes; ++i) {
    model.next_logits(tokens, logits, key_values, context);
    tokens.resize(sequences, 1);
    for (long s = 0; s < sequences; ++s) {
      const auto of = static_cast<std::size_t>(s);
      tokens(s, 0) = draw({logits.row(s).data(), 256}, 0.5, draws[of]);
      texts[of] += static_cast<char>(tokens(s, 0));
    }
  }
  return texts;
}
