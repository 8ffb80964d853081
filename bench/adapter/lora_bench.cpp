// SPDX-License-Identifier: MIT
// Low-rank adapters beside a linear layer, merged into it, and a different one for each sequence of a batch, all to be held
// against the layer alone, "linear, to adapt": the same object, as two matrices of 64 MB do not take the same time. And a
// step of training, against "decoder, training step".

#include <eigenformer/adapter/assigned.hpp>
#include <eigenformer/adapter/lora.hpp>
#include <eigenformer/adapter/lora_attach.hpp>

#include <grid.hpp>
#include <model/training_step.hpp>
#include <report/answer.hpp>

#include "support/tolerances.hpp"

namespace {

using namespace bench;
using Projection = ef::Lora<ef::Linear<float>>;

/// A layer, and sequences whose adapters take turns.
struct Numbers {
  explicit Numbers(const grid::Adapted& size)
      : layer({.in_features = size.depth, .out_features = size.columns}, ef::Random(1)),
        x(random_matrix(size.rows, size.depth, 2)),
        length(size.rows / size.sequences) {
    for (Index i = 0; i < size.adapters; ++i) {
      layer.add(std::to_string(i), {.rank = size.rank}, ef::Random(static_cast<std::uint64_t>(i)));
      fill(layer.adapter(std::to_string(i)).b.value, static_cast<std::uint64_t>(i) + 5, 0.1);
    }
    for (Index i = 0; i < size.sequences; ++i) names.push_back(std::to_string(i * 5 % size.adapters));
  }
  Projection layer;
  ef::Matrix<float> x;
  Index length;
  std::vector<std::string> names;
};
/// Those of a size, once.
std::shared_ptr<Numbers> numbers_of(const grid::Adapted& size) {
  static std::vector<std::pair<Index, std::weak_ptr<Numbers>>> made;
  for (const auto& [rows, numbers] : made) {
    if (const auto found = numbers.lock(); found && rows == size.rows) return found;
  }
  const auto numbers = std::make_shared<Numbers>(size);
  made.emplace_back(size.rows, numbers);
  return numbers;
}

class Adapted {
 public:
  explicit Adapted(const grid::Adapted& size) : numbers_(numbers_of(size)), y_(size.rows, size.columns) {}

  void start() { names_ = {}; }
  void base(ef::Context& context) {
    names_.assign(numbers_->names.size(), "");
    numbers_->layer.base.forward(numbers_->x, y_, context);
  }
  /// All sequences with one adapter.
  void one(ef::Context& context) {
    names_.assign(numbers_->names.size(), "0");
    numbers_->layer.activate({"0"});
    numbers_->layer.forward(numbers_->x, y_, context);
  }
  void mixed(ef::Context& context) {
    names_ = numbers_->names;
    const ef::Assigned assigned(context, numbers_->layer, names_);
    numbers_->layer.forward(numbers_->x, y_, context);
  }
  void one_by_one(ef::Context& context) {
    names_ = numbers_->names;
    const Index length = numbers_->length;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      numbers_->layer.activate({names_[i]});
      const Index first = static_cast<Index>(i) * length;
      numbers_->layer.forward(numbers_->x.middleRows(first, length),
                              ef::RowsView<float>(y_.row(first).data(), length, y_.cols(), y_.cols()), context);
    }
  }

  Error error() const {
    const Projection& layer = numbers_->layer;
    const Doubles x = numbers_->x.cast<double>();
    const Doubles weight = layer.base.weight.value.cast<double>();
    const Eigen::RowVectorXd bias = layer.base.bias->value.cast<double>().transpose();
    Doubles expected = (x * weight.transpose()).rowwise() + bias;
    Doubles bound = (x.rowwise().norm() * weight.rowwise().norm().transpose()).rowwise() + bias.cwiseAbs();
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (names_[i].empty()) continue;
      const auto& adapter = layer.adapter(names_[i]);
      const Index first = static_cast<Index>(i) * numbers_->length;
      const Doubles a = adapter.a.value.cast<double>();
      const Doubles b = adapter.scale() * adapter.b.value.cast<double>();
      const auto own = x.middleRows(first, numbers_->length);
      expected.middleRows(first, numbers_->length) += own * a.transpose() * b.transpose();
      bound.middleRows(first, numbers_->length) += own.rowwise().norm() * (a.norm() * b.rowwise().norm().transpose());
    }
    return compare(y_, expected, support::tolerance::gemm_c * epsilon * bound);
  }

 private:
  std::shared_ptr<Numbers> numbers_;
  std::vector<std::string> names_;
  ef::Matrix<float> y_;
};

/// A merged adapter, whose weight is another matrix than the base's before.
class Merged {
 public:
  explicit Merged(const grid::Adapted& size)
      : layer_({.in_features = size.depth, .out_features = size.columns}, ef::Random(1)),
        x_(random_matrix(size.rows, size.depth, 2)),
        y_(size.rows, size.columns) {
    layer_.add("0", {.rank = size.rank}, ef::Random(3));
    fill(layer_.adapter("0").b.value, 5, 0.1);
    layer_.merge();
  }
  void base(ef::Context& context) { layer_.base.forward(x_, y_, context); }
  void merged(ef::Context& context) { layer_.forward(x_, y_, context); }
  Error error() const {
    const Doubles x = x_.cast<double>();
    const Doubles weight = layer_.base.weight.value.cast<double>();
    const Eigen::RowVectorXd bias = layer_.base.bias->value.cast<double>().transpose();
    const Doubles bound = (x.rowwise().norm() * weight.rowwise().norm().transpose()).rowwise() + bias.cwiseAbs();
    return compare(y_, (x * weight.transpose()).rowwise() + bias, support::tolerance::gemm_c * epsilon * bound);
  }

 private:
  Projection layer_;
  ef::Matrix<float> x_, y_;
};

template <class Case>
void plan_forward(const std::string& name, const grid::Adapted& size, void (Case::*run)(ef::Context&), Index adapters) {
  const double rows = double(size.rows);
  const double adapter = double(size.rank * (size.depth + size.columns));
  const double products = double(size.depth) * double(size.columns) + (adapters > 0 ? adapter : 0);
  Entry<Case>({.name = name,
               .shape = size.shape(),
               .cost = {2 * rows * products,
                        bytes(size.depth * size.columns + size.rows * size.depth) + 4 * double(adapters) * adapter,
                        bytes(size.rows * size.columns)}},
              size)
      .ours(run, one_and_two_threads());
}

using AdaptedDecoder = ef::Decoder<
    float, ef::PreNorm<ef::RmsNorm<float>, ef::GroupedQueryAttention<float, Projection, ef::Rotary<ef::Interleaved>>,
                       ef::GatedFeedForward<float, ef::Silu, Projection>>>;

/// As is usual: adapters of rank 8 for queries and values.
AdaptedDecoder adapted_decoder(const ef::DecoderOptions& options) {
  AdaptedDecoder model = untrained<AdaptedDecoder>(options);
  ef::lora::attach(model, {.rank = 8, .alpha = 16, .targets = {"query", "value"}}, ef::Random(3));
  return model;
}

const bool planned = [] {
  for (const grid::Adapted& size : grid::adapted) {
    plan_forward("linear, to adapt", size, &Adapted::base, 0);
    plan_forward("linear with LoRA", size, &Adapted::one, 1);
    plan_forward("linear with LoRA, " + std::to_string(size.adapters) + " adapters in " +
                     std::to_string(size.sequences) + " sequences",
                 size, &Adapted::mixed, size.adapters);
    plan_forward("the same, one by one", size, &Adapted::one_by_one, size.adapters);
  }
  plan_forward("linear, merged with LoRA", grid::adapted[0], &Merged::merged, 0);
  plan_forward("linear, merged, by Linear", grid::adapted[0], &Merged::base, 0);
  for (const grid::Training& size : grid::training) {
    const double tokens = double(size.batch * size.tokens);
    const Index kv = size.dim / size.heads * size.kv_heads;
    const double trained = 8.0 * double(size.layers * (3 * size.dim + kv));
    // Gradients of weights are those of the adapters alone.
    Entry<TrainingStep<AdaptedDecoder>>({.name = "decoder, LoRA training step",
                                         .shape = size.shape(),
                                         .cost = {tokens * (4 * parameters_of(size) + 6 * trained +
                                                            12.0 * double(size.layers * size.dim * size.tokens)),
                                                  0, 0}},
                                        size, trained, adapted_decoder)
        .ours(&TrainingStep<AdaptedDecoder>::step, one_and_two_threads());
  }
  return true;
}();

}  // namespace
