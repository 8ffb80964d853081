// SPDX-License-Identifier: MIT

#include <grid.hpp>
#include <report/answer.hpp>

#include <eigenformer/attention/local_window_attention.hpp>

#include "reference/cascaded_group_attention.hpp"

namespace {

using namespace bench;

using Attention = ef::LocalWindowAttention<float>;
using Folded = ef::LocalWindowAttention<float, ef::Linear<float>, ef::DepthwiseConvolution<float>>;

Attention attention_of(const grid::CascadedAttention& size) {
  const std::vector<Index> kernels(size.kernels.begin(), size.kernels.begin() + size.heads);
  Attention result(
      {.dim = size.dim, .key_dim = size.key_dim, .heads = size.heads, .resolution = size.window, .kernels = kernels},
      ef::Random(1));
  fill(result.attention.biases.value, 2);
  fill(result.attention.output.norm.weight->value, 3);
  for (auto& part : result.attention.projections) fill(part.norm.running_mean.value, 4, 0.3);
  return result;
}

reference::Array<double> wide(const auto& values, std::vector<long> shape) {
  return reference::widened(values.data(), std::move(shape));
}
template <class Inner>
reference::ConvolutionNorm<double> wide(const ef::Normed<Inner>& layer) {
  const ef::Shape weight = layer.projection.weight.shape();
  const long kernel = weight.rank() == 4 ? weight[2] : 1;
  const std::vector<long> channels = {weight[0]};
  return {wide(layer.projection.weight.values(), {weight[0], weight[1], kernel, kernel}),
          wide(layer.norm.weight->values(), channels), wide(layer.norm.bias->values(), channels),
          wide(layer.norm.running_mean.values(), channels), wide(layer.norm.running_var.values(), channels)};
}

/// Numbers in and out, and what the paper's formula makes of them in double.
class Case {
 public:
  explicit Case(const grid::CascadedAttention& size)
      : size_(size), attention_(attention_of(size)), x_(size.images, size.side, size.side, size.dim), y_(x_) {
    fill(x_, 5);
  }

 protected:
  reference::Array<double> numbers() const { return wide(x_, {size_.images, size_.side, size_.side, size_.dim}); }
  /// Images whose sides the window divides.
  reference::Array<double> exact(const reference::Array<double>& x, reference::NormBy by) const {
    const ef::CascadedGroupAttention<float>& block = attention_.attention;
    reference::CascadedGroupAttention<double> model;
    for (const auto& layer : block.projections) model.qkvs.push_back(wide(layer));
    for (const auto& layer : block.interactions) model.dws.push_back(wide(layer));
    model.proj = wide(block.output);
    model.biases = wide(block.biases.values(), {size_.heads, size_.window * size_.window});
    const Index across = size_.side / size_.window;
    reference::Array<double> windows({size_.images * across * across, size_.window, size_.window, size_.dim});
    for_each_number(
        [&](Index b, Index i, Index j, Index c, Index w, Index u, Index v) { windows(w, u, v, c) = x(b, i, j, c); });
    windows = cascaded_group_attention(windows, model, by);
    reference::Array<double> y(x.shape);
    for_each_number(
        [&](Index b, Index i, Index j, Index c, Index w, Index u, Index v) { y(b, i, j, c) = windows(w, u, v, c); });
    return y;
  }
  Error error_of_y(const reference::Array<double>& expected) const {
    const Eigen::Map<const Doubles> wanted(expected.data(), expected.rows(), size_.dim);
    const Eigen::Map<const ef::Matrix<float>> actual(y_.data(), wanted.rows(), size_.dim);
    return compare(actual, wanted, 1e-5 * wanted.cwiseAbs().maxCoeff());
  }

  grid::CascadedAttention size_;
  Attention attention_;
  ef::Tensor<float, 4> x_, y_;

 private:
  template <class Body>
  void for_each_number(const Body& body) const {
    const Index across = size_.side / size_.window;
    for (Index b = 0; b < size_.images; ++b) {
      for (Index i = 0; i < size_.side; ++i) {
        for (Index j = 0; j < size_.side; ++j) {
          const Index window = (b * across + i / size_.window) * across + j / size_.window;
          for (Index c = 0; c < size_.dim; ++c) body(b, i, j, c, window, i % size_.window, j % size_.window);
        }
      }
    }
  }
};

/// Without norms, as a model is used.
class Inference : public Case {
 public:
  explicit Inference(const grid::CascadedAttention& size) : Case(size), folded_(ef::fold(attention_)) {}

  void forward(ef::Context& context) { folded_.forward(x_, y_, context); }
  Error error() const {
    return error_of_y(exact_([&] { return exact(numbers(), reference::NormBy::running); }));
  }

 private:
  Folded folded_;
  Once<reference::Array<double>> exact_;
};

/// By the statistics of the batch, forward and backward.
class Training : public Case {
 public:
  explicit Training(const grid::CascadedAttention& size) : Case(size), dy_(x_), dx_(x_) { fill(dy_, 6); }

  void run(ef::Context& context) {
    attention_.forward(x_, y_, context, &cache_);
    attention_.backward(dy_, cache_, dx_, context);
  }
  /// The gradient along one direction, which all numbers of x have a share in.
  Error error() const {
    const Error of_y = error_of_y(exact_([&] { return exact(numbers(), reference::NormBy::batch); }));
    const double expected = slope_([&] { return (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5; });
    double along = 0, size = 0;
    for (Index i = 0; i < x_.size(); ++i) {
      const double step = direction(i), part = step * static_cast<double>(dx_.data()[i]);
      along += part;
      size += part * part;
    }
    const double off = std::abs(along - expected) / std::sqrt(size);
    return worse(of_y, {off, off < 1e-4});
  }

 private:
  static double direction(Index i) { return std::sin(1.7 * static_cast<double>(i)); }
  double loss_at(double step) const {
    reference::Array<double> x = numbers();
    for (Index i = 0; i < x_.size(); ++i) x.data()[i] += step * direction(i);
    const reference::Array<double> y = exact(x, reference::NormBy::batch);
    double loss = 0;
    for (Index i = 0; i < y.size(); ++i) loss += y.data()[i] * static_cast<double>(dy_.data()[i]);
    return loss;
  }

  ef::Tensor<float, 4> dy_, dx_;
  Attention::Cache cache_;
  Once<reference::Array<double>> exact_;
  Once<double> slope_;
};

/// Multiplications and additions of projections, convolutions, scores and values; the exponentials come on top.
double operations(const grid::CascadedAttention& size) {
  const auto pixels = static_cast<double>(size.images * size.side * size.side);
  const auto dim = static_cast<double>(size.dim), part = dim / static_cast<double>(size.heads);
  const auto keys = static_cast<double>(size.key_dim), window = static_cast<double>(size.window * size.window);
  double sum = dim * dim + dim * (2 * keys + part) + static_cast<double>(size.heads) * window * (keys + part);
  for (const Index kernel : size.kernels) sum += keys * static_cast<double>(kernel * kernel);
  return 2 * pixels * sum;
}

const bool planned = [] {
  const auto work = [](std::string name, const grid::CascadedAttention& size, double passes) {
    const auto dimensions = size.dimensions();
    const double array = bytes(size.images * size.side * size.side * size.dim);
    return Work{.name = std::move(name),
                .shape = size.shape(),
                .cost = {passes * operations(size), passes * array, passes * array},
                .dimensions = {dimensions.begin(), dimensions.end()}};
  };
  for (const grid::CascadedAttention& size : grid::cascaded_attention) {
    Entry<Inference>(work("cascaded group attention", size, 1), size)
        .ours(&Inference::forward, every_set(one_and_two_threads()));
  }
  for (const grid::CascadedAttention& size : grid::trained_cascaded_attention) {
    Entry<Training>(work("cascaded group attention + backward", size, 3), size)
        .ours(&Training::run, one_and_two_threads());
  }
  return true;
}();

}  // namespace
