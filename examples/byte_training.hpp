#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/random.hpp>
#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/cross_entropy.hpp>

#include <algorithm>
#include <numbers>
#include <string>
#include <vector>

// What examples that train models of bytes share.

/// Windows of text: what the model reads, and for each byte the one that follows.
struct Windows {
  Windows(long batch, long length) : tokens(batch, length), targets(batch, length) {}

  void read(long window, const std::string& text, std::size_t begin) {
    for (long i = 0; i < tokens.dimension(1); ++i) {
      const std::size_t at = begin + static_cast<std::size_t>(i);
      tokens(window, i) = static_cast<unsigned char>(text[at]);
      targets(window, i) = static_cast<unsigned char>(text[at + 1]);
    }
  }

  eigenformer::Tensor<std::int32_t, 2> tokens;   ///< [batch, length]
  eigenformer::Tensor<std::int32_t, 2> targets;  ///< [batch, length]
};

/// How much text a step of training reads, and how much a model is judged by.
struct WindowSizes {
  long batch = 8;
  long length = 64;
  int judged = 64;  ///< batches of held-out text, at most
};

/// Mean bits per byte over the first batches of windows of the text.
template <class Model>
double bits_per_byte(const Model& model, const std::string& text, const WindowSizes& sizes,
                     eigenformer::Context& context) {
  Windows windows(sizes.batch, sizes.length);
  eigenformer::Tensor<float, 3> logits(sizes.batch, sizes.length, 256);
  const auto window = static_cast<std::size_t>(sizes.length);
  const auto batch = static_cast<std::size_t>(sizes.batch);
  double sum = 0;
  int batches = 0;
  for (std::size_t begin = 0; batches < sizes.judged && begin + batch * window < text.size(); ++batches) {
    for (std::size_t b = 0; b < batch; ++b) windows.read(static_cast<long>(b), text, begin + b * window);
    begin += batch * window;
    model.forward(windows.tokens, logits, context, nullptr);
    sum += eigenformer::cross_entropy<float>(logits, windows.targets, context).mean;
  }
  return sum / batches / std::numbers::ln2;
}

/// Mean bits per byte over all of a text, read in windows one after the other, so that every byte but the first is
/// predicted from those before it in its window. As many windows as `batch` go together.
template <class Model>
double bits_per_byte_of_all(const Model& model, const std::string& text, long batch, long length,
                            eigenformer::Context& context) {
  const auto window = static_cast<std::size_t>(length);
  const std::size_t predicted = text.size() - 1;
  double nats = 0;
  std::size_t begin = 0;
  while (begin < predicted) {
    // As many whole windows as a batch has; at the end fewer, and last of all one that is shorter.
    const std::size_t whole = (predicted - begin) / window;
    const std::size_t together = whole == 0 ? 1 : std::min(whole, static_cast<std::size_t>(batch));
    const std::size_t width = whole == 0 ? predicted - begin : window;
    Windows windows(static_cast<long>(together), static_cast<long>(width));
    for (std::size_t b = 0; b < together; ++b) windows.read(static_cast<long>(b), text, begin + b * width);
    eigenformer::Tensor<float, 3> logits = model.output_like(windows.tokens);
    model.forward(windows.tokens, logits, context);
    nats += eigenformer::cross_entropy<float>(logits, windows.targets, context).mean *
            static_cast<double>(together * width);
    begin += together * width;
  }
  return nats / static_cast<double>(predicted) / std::numbers::ln2;
}

/// Trains for `steps` steps on windows that `order` chooses, step i with the learning rate `rate(i)`. Returns the bits per
/// byte of each step's batch.
template <class Model, class Rate>
std::vector<double> train_on(const std::string& text, Model& model, long steps, const WindowSizes& sizes,
                             const Rate& rate, eigenformer::Random order, eigenformer::Context& context) {
  eigenformer::AdamW<float> optimizer({.weight_decay = 0});
  Windows windows(sizes.batch, sizes.length);
  eigenformer::Tensor<float, 3> logits(sizes.batch, sizes.length, 256);
  typename Model::Cache cache;
  const auto starts = static_cast<eigenformer::Index>(text.size()) - sizes.length;
  std::vector<double> losses;
  for (long step = 0; step < steps; ++step) {
    for (long b = 0; b < sizes.batch; ++b) windows.read(b, text, static_cast<std::size_t>(order.index(starts)));
    model.forward(windows.tokens, logits, context, &cache);
    // The gradient takes the place of the logits.
    const double loss = eigenformer::cross_entropy<float>(logits, windows.targets, logits, context).mean;
    losses.push_back(loss / std::numbers::ln2);
    eigenformer::zero_gradients(model);
    model.backward(logits, cache, context);
    optimizer.options.learning_rate = rate(step);
    optimizer.step(model, context);
  }
  return losses;
}
