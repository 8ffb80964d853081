// SPDX-License-Identifier: MIT

#include <eigenformer/norm/batch_norm.hpp>

#include <norm/plain_channel_norm.hpp>

namespace {

using namespace bench;

class Batch : public ChannelNormCase<ef::BatchNorm<float>> {
 public:
  explicit Batch(const grid::Rows& size)
      : ChannelNormCase(ef::BatchNorm<float>({.dim = size.features}), 1, size.features, size.rows, size.features) {}

  void train(ef::Context& context) { norm_.forward(x_, y_, context, &cache_); }
  Error error() const { return error_of_y(); }
};

class BatchBackward : public Batch {
 public:
  using Batch::Batch;
  void run(ef::Context& context) {
    train(context);
    norm_.backward(dy_, cache_, dx_, context);
  }
  Error error() const { return worse(error_of_y(), error_of_gradients()); }
};

/// By running statistics that are not those of the batch.
class Inference : public Batch {
 public:
  explicit Inference(const grid::Rows& size) : Batch(size) {
    fill(norm_.running_mean.value, 4);
    norm_.running_var.value = norm_.running_mean.value.cwiseAbs2();
  }
  void forward(ef::Context& context) { norm_.forward(x_, y_, context); }
  void forward_by_eigen() {
    const Eigen::ArrayXf gain = norm_.weight->value.array() * (norm_.running_var.value.array() + 1e-5F).rsqrt();
    y_ = ((x_.rowwise() - norm_.running_mean.value.transpose()) * gain.matrix().asDiagonal()).rowwise() +
         norm_.bias->value.transpose();
  }
  Error error() const {
    const Eigen::VectorXd gain =
        norm_.weight->value.cast<double>().array() * (norm_.running_var.value.cast<double>().array() + 1e-5).rsqrt();
    const Doubles centred = x_.cast<double>().rowwise() - norm_.running_mean.value.cast<double>().transpose();
    const Doubles expected = (centred * gain.asDiagonal()).rowwise() + norm_.bias->value.cast<double>().transpose();
    const Doubles allowed = Doubles(4 * epsilon * expected.cwiseAbs()).array() + epsilon;
    return compare(y_, expected, allowed);
  }
};

const bool planned = [] {
  for (const auto& sizes : {std::span<const grid::Rows>(grid::rows), std::span<const grid::Rows>(grid::channels)}) {
    for (const grid::Rows& size : sizes) {
      const double array = bytes(size.rows * size.features);
      Work work = {.name = "BatchNorm, inference",
                   .shape = size.shape(),
                   .cost = {0, array, array},
                   .dimensions = {size.rows, size.features}};
      Entry<Inference>(work, size).ours(&Inference::forward, one_and_two_threads()).eigen(&Inference::forward_by_eigen);
      work.name = "BatchNorm, training";
      work.cost = {0, 2 * array, 2 * array};
      Entry<Batch>(work, size).ours(&Batch::train, one_and_two_threads()).eigen(&Batch::forward_by_eigen);
      work.name = "BatchNorm, training + backward";
      work.cost = {0, 6 * array, 3 * array};
      Entry<BatchBackward>(work, size)
          .ours(&BatchBackward::run, one_and_two_threads())
          .eigen(&BatchBackward::run_by_eigen);
    }
  }
  return true;
}();

}  // namespace
