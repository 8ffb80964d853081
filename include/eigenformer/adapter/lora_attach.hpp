#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_model.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::lora {

/// Rank and alpha of the layers that a target names, where they differ from the rest.
struct TargetOptions {
  std::string target;  ///< the end of a layer's name
  std::optional<Index> rank{};
  std::optional<double> alpha{};  ///< the common one if not given
};

/// No bias is trained.
struct NoBiases {};
/// The biases of the layers that have the adapter are trained; PEFT's "lora_only".
struct LayerBiases {};
/// Every bias of the model is trained, those of norms among them.
struct AllBiases {};
/// Which biases are trained beside adapters, PEFT's `bias`. They are the base's own: what they learn stays when the adapter
/// is idle, unmerged or removed.
using TrainedBiases = std::variant<NoBiases, LayerBiases, AllBiases>;

/// What `attach` adds, and where. A target is the end of a layer's dotted name in whole parts: "query" is every query,
/// "layers.0.attention.query" the first one; it is no pattern.
struct AttachOptions {
  Index rank = 8;
  double alpha = 8;                       ///< the factor is alpha / rank, or as scaling says
  LoraScaling scaling = AlphaOverRank{};  ///< how rank and alpha make the factor
  double dropout = 0;
  std::optional<LearnedMagnitude> magnitude{};  ///< with it adapters are DoRA
  TrainedBiases biases = NoBiases{};            ///< which biases are trained too
  std::vector<std::string> targets = {};        ///< every layer that can carry an adapter if empty
  std::vector<TargetOptions> exceptions = {};   ///< of those that name a layer the longest target counts
  std::string name = "default";                 ///< of the adapter
};

namespace detail {

/// The options of one layer; `used` notes which exceptions have had their say.
inline LoraOptions options_of(std::string_view name, const AttachOptions& options, std::vector<char>& used) {
  LoraOptions result = {options.rank, options.alpha, options.scaling, options.dropout, options.magnitude};
  std::size_t longest = 0;
  for (std::size_t i = 0; i < options.exceptions.size(); ++i) {
    const TargetOptions& exception = options.exceptions[i];
    if (!is_target(name, exception.target)) continue;
    used[i] = 1;
    if (exception.target.size() < longest) continue;
    longest = exception.target.size();
    result.rank = exception.rank.value_or(options.rank);
    result.alpha = exception.alpha.value_or(options.alpha);
  }
  return result;
}

inline void require_all_used(const std::vector<char>& used, const auto& list, const auto& target_of) {
  std::string unused;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) unused += (unused.empty() ? "\"" : ", \"") + std::string(target_of(list[i])) + '"';
  }
  require<OptionError>(unused.empty(), "lora::attach", "no layer that can carry an adapter matches ", unused);
}

template <class Model>
void train_biases(Model& model) {
  visit_learnable(model, [](const Name& name, auto& parameter) {
    if (is_target(name.str(), "bias")) parameter.trainable = true;
  });
}

}  // namespace detail

/// Adds an adapter to every Lora of the model that a target names, and freezes all else but the biases chosen. What each
/// starts from depends on the random generator, the same in every run if none is given, and the order of the model's
/// layers alone.
///   throws OptionError for options out of range, or a target or exception that no layer matches; ValueError if a layer
///          has an adapter of that name already. In each case the model is as it was
/// @code
/// using Projection = ef::Lora<ef::Linear<float>>;
/// ef::MultiHeadAttention<float, Projection> model({.dim = 64, .heads = 4}, ef::Random(42));
/// ef::lora::attach(model, {.rank = 8, .alpha = 16, .targets = {"query", "value"}}, ef::Random(43));
/// ef::lora::merge(model);
/// @endcode
template <class Model>
void attach(Model& model, const AttachOptions& options, Random random = Random(0)) {
  std::vector<char> used(options.targets.size());
  std::vector<char> used_exceptions(options.exceptions.size());
  std::vector<std::optional<LoraOptions>> chosen;
  bool any = false;
  visit_layers(model, [&](const Name& name, const auto& layer) {
    const std::string text = name.str();
    bool targeted = options.targets.empty();
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (!detail::is_target(text, options.targets[i])) continue;
      targeted = true;
      used[i] = 1;
    }
    chosen.emplace_back();
    if (!targeted) return;
    any = true;
    chosen.back() = detail::options_of(text, options, used_exceptions);
    layer.check_add(options.name, *chosen.back());
  });
  require<OptionError>(any || !options.targets.empty(), "lora::attach",
                       "the model has no layer that can carry an adapter");
  detail::require_all_used(used, options.targets, [](const std::string& target) { return target; });
  detail::require_all_used(used_exceptions, options.exceptions,
                           [](const TargetOptions& exception) { return exception.target; });

  set_training(model, Training::frozen);
  std::size_t i = 0;
  visit_layers(model, [&](const Name&, auto& layer) {
    const std::optional<LoraOptions>& layer_options = chosen[i++];
    if (layer_options) layer.add(options.name, *layer_options, random.split());
  });
  if (std::holds_alternative<AllBiases>(options.biases)) detail::train_biases(model);
  if (!std::holds_alternative<LayerBiases>(options.biases)) return;
  visit_layers(model, [&](const Name&, auto& layer) {
    if (layer.has_adapter(options.name)) detail::train_biases(layer.base);
  });
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::lora
