// SPDX-License-Identifier: MIT
// Whole decoders: tokens through the key/value cache, and a step of training.

#include <model/training_step.hpp>

namespace {

using namespace bench;
using Model = ef::LlamaDecoder<float>;

/// Tokens that follow `before` positions, whose keys and values are random.
class Generate {
 public:
  explicit Generate(const grid::Decoder& size)
      : size_(size),
        model_(options_of(size), ef::Random(1)),
        plain_(model_, options_of(size), size.before + size.tokens),
        exact_(model_, options_of(size), size.before + size.tokens),
        key_values_(model_.key_values(1, size.before + size.tokens)),
        tokens_(tokens_of(size.tokens, size.vocabulary)),
        logits_(1, size.vocabulary) {
    const Index width = size.dim / size.heads * size.kv_heads;
    for (std::size_t layer = 0; size.before > 0 && layer < key_values_.size(); ++layer) {
      const ef::Matrix<float> keys = random_matrix(size.before, width, 2 * layer);
      const ef::Matrix<float> values = random_matrix(size.before, width, 2 * layer + 1);
      const auto heads = [&](const ef::Matrix<float>& numbers) {
        return ef::ConstHeadsView<float>(numbers.data(), 1, size.before, size.kv_heads, size.dim / size.heads);
      };
      key_values_[layer].append(heads(keys), heads(values));
      plain_.keys()[layer].topRows(size.before) = keys;
      plain_.values()[layer].topRows(size.before) = values;
      exact_.keys()[layer].topRows(size.before) = keys.cast<double>();
      exact_.values()[layer].topRows(size.before) = values.cast<double>();
    }
  }

  void next(ef::Context& context) {
    model_.next_logits(tokens_, logits_, key_values_, context);
    for (auto& layer : key_values_) layer.truncate(size_.before);
  }
  void next_by_eigen() {
    plain_.forward(tokens_, size_.before, plain_logits_);
    logits_ = plain_logits_.bottomRows(1);
  }
  Error error() const {
    Doubles expected;
    exact_.forward(tokens_, size_.before, expected);
    const double scale = expected.bottomRows(1).cwiseAbs().maxCoeff();
    return compare(logits_, expected.bottomRows(1), tolerance_of(size_) * scale);
  }

 private:
  grid::Decoder size_;
  Model model_;
  PlainDecoder<float> plain_;
  mutable PlainDecoder<double> exact_;
  Model::KeyValues key_values_;
  std::vector<std::int32_t> tokens_;
  ef::Matrix<float> logits_;
  PlainDecoder<float>::Matrix plain_logits_;
};

const bool planned = [] {
  for (const grid::Decoder& size : grid::decoders) {
    const Index kv = size.dim / size.heads * size.kv_heads;
    const double weights = parameters_of(size);
    const double scores = 4.0 * static_cast<double>(size.layers * size.dim * (size.before + size.tokens / 2));
    // The logits are those of the last token alone.
    const double output = static_cast<double>(size.vocabulary * size.dim);
    Entry<Generate>({.name = size.tokens == 1 ? "decoder, next token" : "decoder, prompt",
                     .shape = size.shape(),
                     .cost = {static_cast<double>(size.tokens) * (2 * (weights - output) + scores) + 2 * output,
                              4 * weights + bytes(2 * size.layers * size.before * kv), bytes(size.vocabulary)}},
                    size)
        .ours(&Generate::next, one_and_two_threads())
        .eigen(&Generate::next_by_eigen);
  }
  // 6 N + 12 L H Q T operations for each token (Chowdhery et al. 2022, appendix B).
  for (const grid::Training& size : grid::training) {
    const double tokens = static_cast<double>(size.batch * size.tokens);
    const double scores = static_cast<double>(size.layers * size.dim * size.tokens);
    Entry<TrainingStep<Model>>({.name = "decoder, training step",
                                .shape = size.shape(),
                                .cost = {tokens * (6 * parameters_of(size) + 12 * scores), 0, 0}},
                               size, parameters_of(size) + static_cast<double>((2 * size.layers + 1) * size.dim))
        .ours(&TrainingStep<Model>::step, one_and_two_threads());
  }
  return true;
}();

}  // namespace
