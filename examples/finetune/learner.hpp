#pragma once
// SPDX-License-Identifier: MIT

#include "byte_training.hpp"
#include "method.hpp"

#include <eigenformer/adapter/prefix_mlp.hpp>
#include <eigenformer/adapter/prefixes_of.hpp>
#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/train/clip.hpp>

#include <filesystem>

/// What training a model takes beside the model, in bytes that are really held.
struct Footprint {
  ef::lora::TrainableShare share;
  std::size_t gradients = 0;
  std::size_t optimizer = 0;
};

/// The parameters of a model that are trained, as something to save and load.
template <class Model>
struct TrainedParameters {
  Model& model;
  template <class Visitor>
  void visit_parameters(Visitor&& visitor) const {
    model.visit_parameters([&](const ef::Name& name, auto& parameter) {
      if (parameter.trainable) visitor(name, parameter);
    });
  }
};

/// A model in training by one method.
class Learner {
 public:
  virtual ~Learner() = default;
  virtual void step(const Windows& windows, double learning_rate, ef::Context& context) = 0;
  /// Ends training: what made a prefix makes it for good.
  virtual void finish(ef::Context& context) = 0;
  virtual double bits_per_byte(const std::string& text, const WindowSizes& windows, ef::Context& context) const = 0;
  virtual Footprint footprint() = 0;
  /// Writes what was trained, and returns the bytes of the file.
  virtual std::uintmax_t save(const std::filesystem::path& path) = 0;
};

/// A learner of a model type: the plain decoder where all of it is trained, which is not to be slowed by what it could
/// carry; an Adaptable for the rest.
template <class Model>
class LearnerOf : public Learner {
 public:
  LearnerOf(Model base, const Method& method, long prefix_length) : model_(std::move(base)) {
    if constexpr (std::is_same_v<Model, Adaptable>) prepare(method, prefix_length);
  }
  LearnerOf(const LearnerOf&) = delete;  // the prefixes are pointers into the model
  LearnerOf& operator=(const LearnerOf&) = delete;

  void step(const Windows& windows, double learning_rate, ef::Context& context) override {
    logits_.resize(windows.tokens.dimension(0), windows.tokens.dimension(1), 256);
    if (mlp_) mlp_->forward(prefixes_, context, &mlp_cache_);
    model_.forward(windows.tokens, logits_, context, &cache_);
    // The gradient takes the place of the logits.
    ef::cross_entropy<float>(logits_, windows.targets, logits_, context);
    ef::zero_gradients(model_);
    model_.backward(logits_, cache_, context);
    if (mlp_) {
      ef::zero_gradients(*mlp_);
      mlp_->backward(prefixes_, mlp_cache_, context);
    }
    optimizer_.options.learning_rate = learning_rate;
    trained([&](auto& part) {
      ef::clip_gradient_norm(part, 1.0, context);
      optimizer_.step(part, context);
    });
  }
  void finish(ef::Context& context) override {
    if (mlp_) mlp_->fold(prefixes_, context);
  }
  double bits_per_byte(const std::string& text, const WindowSizes& windows, ef::Context& context) const override {
    return bits_per_byte_of_all(model_, text, windows.batch, windows.length, context);
  }

  Footprint footprint() override {
    Footprint result = {.share = ef::lora::trainable_share(model_)};
    if (mlp_) {
      // What the network makes is no parameter of its own.
      result.share.all += ef::parameter_count(*mlp_) - result.share.trainable;
      result.share.trainable = ef::parameter_count(*mlp_);
    }
    const auto add_gradient = [&](const ef::Name&, const auto& parameter) {
      result.gradients += parameter.gradients().size_bytes();
    };
    ef::visit_learnable(model_, add_gradient);
    if (mlp_) ef::visit_learnable(*mlp_, add_gradient);
    trained([&](auto& part) {
      optimizer_.visit_state(
          part, [&](const ef::Name&, const auto& state) { result.optimizer += state.values().size_bytes(); });
    });
    return result;
  }
  std::uintmax_t save(const std::filesystem::path& path) override {
    ef::save_safetensors(path, TrainedParameters<Model>{model_});
    return std::filesystem::file_size(path);
  }

 private:
  void prepare(const Method& method, long prefix_length) {
    ef::set_training(model_, ef::Training::frozen);
    if (method.lora) ef::lora::attach(model_, *method.lora, ef::Random(1));
    if (method.prefix == PrefixTraining::none) return;
    ef::Random random(2);
    long features = 0;
    for (auto& layer : model_.layers.layers) {
      layer.attention.prefix = layer.attention.own_prefix(prefix_length, random.split(), prefix_deviation);
      const auto& o = layer.attention.options;
      features += o.kv_heads * (o.head_dim + o.value_dim);
    }
    if (method.prefix != PrefixTraining::through_mlp) return;
    prefixes_ = ef::prefixes_of<float>(model_);
    mlp_.emplace(
        ef::PrefixMlpOptions{
            .length = prefix_length, .dim = model_.embedding.output_features(), .out_features = features},
        ef::Random(3));
  }
  /// Calls function with what the optimiser moves.
  void trained(const auto& function) {
    if (mlp_) {
      function(*mlp_);
    } else {
      function(model_);
    }
  }

  static constexpr double prefix_deviation = 0.5;

  Model model_;
  std::vector<ef::Prefix<float>*> prefixes_;  ///< that the network makes
  std::optional<ef::PrefixMlp<float>> mlp_;
  ef::AdamW<float> optimizer_{{.beta2 = 0.99, .weight_decay = 0}};
  typename Model::Cache cache_;
  ef::PrefixMlp<float>::Cache mlp_cache_;
  ef::Tensor<float, 3> logits_;
};
