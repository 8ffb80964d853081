// SPDX-License-Identifier: MIT
// Whole decoders: tokens through the key/value cache, and a step of training.

#include <eigenformer/model/decoder.hpp>
#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/cross_entropy.hpp>

#include <grid.hpp>
#include <model/plain_decoder.hpp>
#include <report/answer.hpp>

namespace {

using namespace bench;
using Model = ef::LlamaDecoder<float>;

/// Roundings of a chain of so many layers: each contributes products, norms and softmax of a few epsilon of the largest
/// number, and they do not all fall to one side.
double tolerance_of(const grid::Decoder& size) { return 40 * epsilon * static_cast<double>(size.layers); }

ef::DecoderOptions options_of(const grid::Decoder& size) {
  return {.vocabulary = size.vocabulary,
          .dim = size.dim,
          .layers = size.layers,
          .heads = size.heads,
          .kv_heads = size.kv_heads,
          .hidden = size.hidden};
}

std::vector<std::int32_t> tokens_of(Index count, Index vocabulary) {
  std::vector<std::int32_t> tokens;
  for (Index i = 0; i < count; ++i) tokens.push_back(static_cast<std::int32_t>((7 + i * 31) % vocabulary));
  return tokens;
}

double parameters_of(const grid::Decoder& size) {
  const Index kv = size.dim / size.heads * size.kv_heads;
  const Index layer = 2 * size.dim * (size.dim + kv) + 3 * size.dim * size.hidden;
  return static_cast<double>(size.layers * layer + size.vocabulary * size.dim);
}

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

/// Forward, loss, backward and AdamW. The loss of the first step is looked at; gradients have tests.
class Train {
 public:
  Train(const grid::Decoder& size, Index batch)
      : size_(size), fresh_(options_of(size), ef::Random(1)), model_(fresh_), tokens_(batch, size.tokens) {
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
    PlainDecoder<double> exact(fresh_, options_of(size_), size_.tokens);
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
    return {error, error <= tolerance_of(size_)};
  }

 private:
  grid::Decoder size_;
  Model fresh_, model_;
  ef::AdamW<float> optimizer_;
  ef::Tensor<std::int32_t, 2> tokens_;
  ef::Tensor<float, 3> logits_;
  Model::Cache cache_;
  double loss_ = 0;
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
  const grid::Decoder& size = grid::trained_decoder;
  const double tokens = static_cast<double>(grid::trained_batch * size.tokens);
  Entry<Train>(
      {.name = "decoder, training step",
       .shape = std::to_string(grid::trained_batch) + " of " + size.shape(),
       .cost = {tokens * (6 * parameters_of(size) + 12.0 * static_cast<double>(size.layers * size.dim * size.tokens)),
                0, 0}},
      size, grid::trained_batch)
      .ours(&Train::step, one_and_two_threads());
  return true;
}();

}  // namespace
