#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/model/decoder.hpp>
#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/cross_entropy.hpp>

#include <grid.hpp>
#include <model/plain_decoder.hpp>
#include <report/answer.hpp>

namespace bench {

/// Roundings of a chain of so many layers: each contributes products, norms and softmax of a few epsilon of the largest
/// number, and they do not all fall to one side.
inline double tolerance_of(const grid::Decoder& size) { return 40 * epsilon * static_cast<double>(size.layers); }

inline ef::DecoderOptions options_of(const grid::Decoder& size) {
  return {.vocabulary = size.vocabulary,
          .dim = size.dim,
          .layers = size.layers,
          .heads = size.heads,
          .kv_heads = size.kv_heads,
          .hidden = size.hidden};
}

inline std::vector<std::int32_t> tokens_of(Index count, Index vocabulary) {
  std::vector<std::int32_t> tokens;
  for (Index i = 0; i < count; ++i) tokens.push_back(static_cast<std::int32_t>((7 + i * 31) % vocabulary));
  return tokens;
}

inline double parameters_of(const grid::Decoder& size) {
  const Index kv = size.dim / size.heads * size.kv_heads;
  const Index layer = 2 * size.dim * (size.dim + kv) + 3 * size.dim * size.hidden;
  return static_cast<double>(size.layers * layer + size.vocabulary * size.dim);
}

/// A model as it comes.
template <class Model>
Model untrained(const ef::DecoderOptions& options) {
  return Model(options, ef::Random(1));
}

/// Forward, loss, backward and AdamW. The loss of the first step is looked at, and the memory of gradients and AdamW, which
/// is that of `trained` parameters; gradients have tests.
template <class Model>
class TrainingStep {
 public:
  TrainingStep(const grid::Training& size, double trained, Model (*make)(const ef::DecoderOptions&) = untrained<Model>)
      : size_(size),
        trained_(trained),
        fresh_(make(options_of(size))),
        model_(fresh_),
        tokens_(size.batch, size.tokens) {
    const std::vector<std::int32_t> tokens = tokens_of(tokens_.size(), size.vocabulary);
    std::copy(tokens.begin(), tokens.end(), tokens_.data());
    logits_ = model_.output_like(tokens_);
  }

  void start() {
    model_ = fresh_;
    optimizer_ = ef::AdamW<float>();
  }
  void step(ef::Context& context) {
    model_.forward(tokens_, logits_, context, &cache_);
    loss_ = ef::cross_entropy<float>(logits_, tokens_, logits_, context).mean;
    ef::zero_gradients(model_);
    model_.backward(logits_, cache_, context);
    optimizer_.step(model_, context);
  }
  Error error() const {
    const ef::LlamaDecoder<float> base = untrained<ef::LlamaDecoder<float>>(options_of(size_));
    PlainDecoder<double> exact(base, options_of(size_), size_.tokens);
    double loss = 0;
    for (Index b = 0; b < tokens_.dimension(0); ++b) {
      const std::span<const std::int32_t> tokens(tokens_.data() + b * size_.tokens,
                                                 static_cast<std::size_t>(size_.tokens));
      Doubles logits;
      exact.forward(tokens, 0, logits);
      for (Index s = 0; s < size_.tokens; ++s) {
        loss += std::log(logits.row(s).array().exp().sum()) - logits(s, tokens[static_cast<std::size_t>(s)]);
      }
    }
    loss /= static_cast<double>(tokens_.size());
    const double error = std::abs(loss_ - loss) / loss;
    return {error, error <= tolerance_of(size_) && held() == 3 * trained_};
  }

 private:
  /// Numbers in gradients and in AdamW's two means of each.
  double held() const {
    Index numbers = 0;
    ef::visit_learnable(model_, [&](const ef::Name&, const auto& parameter) { numbers += parameter.gradient.size(); });
    optimizer_.visit_state(model_, [&](const ef::Name&, const auto& state) {
      if (state.size() > 1) numbers += state.size();
    });
    return static_cast<double>(numbers);
  }

  grid::Training size_;
  double trained_;
  Model fresh_;
  mutable Model model_;
  mutable ef::AdamW<float> optimizer_;  // to visit its state
  ef::Tensor<std::int32_t, 2> tokens_;
  ef::Tensor<float, 3> logits_;
  typename Model::Cache cache_;
  double loss_ = 0;
};

}  // namespace bench
