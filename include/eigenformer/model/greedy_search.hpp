#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/memory.hpp>
#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/norm.hpp>
#include <eigenformer/model/search_options.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The likeliest token after each, step by step, for each sequence of the source, or behind each prompt; of equal logits
/// the one with the lower number. A sequence is over at the end, which is its last token then, or at max_length. beams and
/// length_penalty do not count.
///   model: an EncoderDecoder with a Source, a Decoder with Prompts, or what has their vocabulary, key_values and
///          next_logits
///   throws what the options' check and the model throw, ValueError if the largest logit is no finite number
/// @code
/// ef::Transformer<float> model({.vocabulary = 97, .dim = 64, .encoder_layers = 1, .decoder_layers = 1}, ef::Random(42));
/// ef::Context context;
/// const std::vector<std::int32_t> source = {5, 17, 3};
/// const auto written = ef::greedy_search(model, ef::Source(source), {.start = 0, .end = 1, .max_length = 9}, context);
/// @endcode
template <class Model, class Source>
std::vector<std::vector<TokensView::Token>> greedy_search(const Model& model, const Source& source,
                                                          const SearchOptions& options, Context& context) {
  using T = typename Model::Scalar;
  require_search_options(options, model.vocabulary(), "greedy_search");
  auto key_values = model.key_values(source, {.capacity = options.max_length}, context);
  const std::size_t batch = key_values.lengths.size();
  std::vector<TokensView::Token> last = detail::first_tokens(key_values, static_cast<Index>(batch), options);
  std::vector<std::vector<TokensView::Token>> written(batch);
  Matrix<T> logits(static_cast<Index>(batch), model.vocabulary());
  std::size_t over = 0;
  for (Index step = 0; step < options.max_length && over < batch; ++step) {
    model.next_logits(TokensView(last.data(), {logits.rows(), 1}), logits, key_values, context);
    for (std::size_t b = 0; b < batch; ++b) {
      if (!written[b].empty() && written[b].back() == options.end) continue;
      const T* const row = logits.row(static_cast<Index>(b)).data();
      const T* const likeliest = std::max_element(row, row + logits.cols());
      require<ValueError>(kernels::is_finite(*likeliest), "greedy_search",
                          "expected a largest logit that is a finite number");
      last[b] = static_cast<TokensView::Token>(likeliest - row);
      written[b].push_back(last[b]);
      if (last[b] == options.end) ++over;
    }
  }
  return written;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
