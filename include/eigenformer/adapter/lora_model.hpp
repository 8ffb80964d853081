#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_adapters.hpp>

#include <ostream>

namespace eigenformer::inline EIGENFORMER_ABI::lora {

/// Rank and alpha of the layers that a target names, where they differ from the rest.
struct TargetOptions {
  std::string target;  ///< the end of a layer's name
  std::optional<Index> rank{};
  std::optional<double> alpha{};  ///< the common one if not given
};

/// What `attach` adds, and where. A target is the end of a layer's dotted name in whole parts: "query" is every query,
/// "layers.0.attention.query" the first one; it is no pattern.
struct AttachOptions {
  Index rank = 8;
  double alpha = 8;                       ///< the factor is alpha / rank, or as scaling says
  LoraScaling scaling = AlphaOverRank{};  ///< how rank and alpha make the factor
  double dropout = 0;
  std::optional<LearnedMagnitude> magnitude{};  ///< with it adapters are DoRA
  std::vector<std::string> targets = {};        ///< every layer that can carry an adapter if empty
  std::vector<TargetOptions> exceptions = {};   ///< of those that name a layer the longest target counts
  std::string name = "default";                 ///< of the adapter
};

namespace detail {

template <class B>
concept CarriesAdapters = requires {
  requires B::carries_adapters;
};

template <class Visit>
struct LayerVisitor {
  template <class B>
  static constexpr bool takes = CarriesAdapters<B>;
  const Visit& visit;

  template <class Child>
  void operator()(const Name& name, Child& child) const {
    if constexpr (CarriesAdapters<std::remove_const_t<Child>>) visit(name, child);
  }
};

inline bool is_target(std::string_view name, std::string_view target) {
  return name == target || (name.size() > target.size() && name.ends_with(target) && !target.empty() &&
                            name[name.size() - target.size() - 1] == '.');
}

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

}  // namespace detail

/// Calls visit(name, layer) for every Lora of a model.
template <class Model, class Visit>
void visit_layers(Model& model, const Visit& visit) {
  model.visit_parameters(detail::LayerVisitor<Visit>{visit});
}

/// Adds an adapter to every Lora of the model that a target names, and freezes all else. What each starts from depends on
/// the random generator and the order of the model's layers alone.
///   throws OptionError for options out of range, or a target or exception that no layer matches; ValueError if a layer
///          has an adapter of that name already. In each case the model is as it was
/// @code
/// using Projection = ef::Lora<ef::Linear<float>>;
/// ef::MultiHeadAttention<float, Projection> model({.dim = 64, .heads = 4}, ef::Random(42));
/// ef::lora::attach(model, {.rank = 8, .alpha = 16, .targets = {"query", "value"}}, ef::Random(43));
/// ef::lora::merge(model);
/// @endcode
template <class Model>
void attach(Model& model, const AttachOptions& options, Random random) {
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
}

namespace detail {

/// Calls act(layer) for all layers that have something to do, after check(layer) for all of them; throws ValueError if
/// none has.
template <class Model, class Concerns, class Check, class Act>
void for_layers(Model& model, std::string_view what, const Concerns& concerns, const Check& check, const Act& act) {
  bool any = false;
  visit_layers(model, [&](const Name&, auto& layer) {
    if (!concerns(layer)) return;
    any = true;
    check(layer);
  });
  require<ValueError>(any, what, "no layer of the model has such an adapter");
  visit_layers(model, [&](const Name&, auto& layer) {
    if (concerns(layer)) act(layer);
  });
}

}  // namespace detail

/// Merges the active adapters of every layer, all or none.
///   throws what LoraAdapters::merge throws, and ValueError if no layer has an active adapter
template <class Model>
void merge(Model& model) {
  detail::for_layers(
      model, "lora::merge", [](const auto& layer) { return layer.adapted(); },
      [](const auto& layer) { layer.check_merge(); }, [](auto& layer) { layer.merge(); });
}

/// Takes all adapters out of every weight again, which has the bits that it had.
///   throws ValueError if nothing is merged
template <class Model>
void unmerge(Model& model) {
  detail::for_layers(
      model, "lora::unmerge", [](const auto& layer) { return layer.merged(); }, [](const auto&) {},
      [](auto& layer) { layer.unmerge(); });
}

/// In every layer, makes those of the named adapters that it has active and all others idle.
///   throws ValueError for a name that no layer has, or an adapter that is merged and not among them; then all is as it was
template <class Model>
void activate(Model& model, const std::vector<std::string>& names) {
  std::vector<char> found(names.size());
  const auto named = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  visit_layers(model, [&](const Name& name, const auto& layer) {
    for (std::size_t i = 0; i < names.size(); ++i) found[i] |= char(layer.has_adapter(names[i]));
    for (std::size_t i = 0; i < layer.adapter_count(); ++i) {
      const std::string& adapter = layer.adapter(i).name;
      require<ValueError>(named(adapter) || layer.state(adapter) != AdapterState::merged, "lora::activate",
                          "adapter \"", adapter, "\" of ", name,
                          " is merged and cannot be made idle before it is unmerged");
    }
  });
  for (std::size_t i = 0; i < names.size(); ++i) {
    require<ValueError>(found[i] != 0, "lora::activate", "no layer of the model has an adapter \"", names[i], '"');
  }
  visit_layers(model, [&](const Name&, auto& layer) {
    std::vector<std::string_view> there;
    for (const std::string& name : names) {
      if (layer.has_adapter(name)) there.push_back(name);
    }
    layer.activate(there);
  });
}

/// Takes the adapter of that name out of every layer that has it.
///   throws ValueError if no layer has it or it is merged in one; then all is as it was
template <class Model>
void remove(Model& model, std::string_view name) {
  detail::for_layers(
      model, "lora::remove", [&](const auto& layer) { return layer.has_adapter(name); },
      [&](const auto& layer) {
        require<ValueError>(layer.state(name) != AdapterState::merged, "lora::remove", "adapter \"", name,
                            "\" is merged and cannot be removed before it is unmerged");
      },
      [&](auto& layer) { layer.remove(name); });
}

/// The parameters of the adapters of a model alone, to save, load and count: what visits parameters takes it for a model
/// of its own. Names are those in the model, such as `query.default.lora_A`. The model must outlive it.
template <class Model>
class AdapterParameters {
 public:
  /// Those of the adapter of that name, or of all if it is empty.
  explicit AdapterParameters(Model& model, std::string name = {}) : model_(&model), name_(std::move(name)) {}

  template <class Visitor>
  void visit_parameters(Visitor&& visitor) const {
    visit_layers(*model_, [&](const Name& layer_name, auto& layer) {
      std::remove_cvref_t<decltype(layer)>::visit_adapters(layer, [&](std::string_view name, auto& adapter) {
        if (name_.empty() || name == name_) eigenformer::detail::walk(Name(layer_name, name), adapter, visitor);
      });
    });
  }

 private:
  Model* model_;
  std::string name_;
};

/// All adapters of a model, or those of one name, as something to save or load:
///   save_safetensors("adapter.safetensors", lora::parameters(model));
///   auto adapter = lora::parameters(model);
///   load_safetensors("adapter.safetensors", adapter);
/// Throws ValueError if there is no such adapter.
template <class Model>
AdapterParameters<Model> parameters(Model& model, std::string name = {}) {
  bool any = false;
  visit_layers(model, [&](const Name&, const auto& layer) {
    any = any || (name.empty() ? layer.adapter_count() > 0 : layer.has_adapter(name));
  });
  require<ValueError>(any, "lora::parameters", "no layer of the model has ",
                      name.empty() ? "an adapter" : "an adapter \"" + name + '"');
  return AdapterParameters<Model>(model, std::move(name));
}

/// How much of a model is trained.
struct TrainableShare {
  Index trainable = 0;  ///< values of parameters that are trained
  Index all = 0;        ///< values of all parameters

  /// trainable of all.
  double percent() const { return all == 0 ? 0 : 100 * static_cast<double>(trainable) / static_cast<double>(all); }
  /// As PEFT prints it: `trainable params: 294912 || all params: 124734720 || trainable%: 0.2364`.
  friend std::ostream& operator<<(std::ostream& out, const TrainableShare& share) {
    const auto rounded = static_cast<Index>(std::llround(share.percent() * 10000));
    const std::string digits = std::to_string(10000 + rounded % 10000);
    return out << "trainable params: " << share.trainable << " || all params: " << share.all
               << " || trainable%: " << rounded / 10000 << '.' << digits.substr(1);
  }
};

/// Counts them.
template <class Model>
TrainableShare trainable_share(const Model& model) {
  TrainableShare share = {.all = parameter_count(model)};
  visit_learnable(model, [&](const Name&, const auto& parameter) {
    if (parameter.trainable) share.trainable += parameter.size();
  });
  return share;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::lora
