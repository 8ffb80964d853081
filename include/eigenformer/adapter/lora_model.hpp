#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_adapters.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::lora {

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

/// Whether a dotted name ends in the target, in whole parts.
inline bool is_target(std::string_view name, std::string_view target) {
  return name == target || (name.size() > target.size() && name.ends_with(target) && !target.empty() &&
                            name[name.size() - target.size() - 1] == '.');
}

}  // namespace detail

/// Calls visit(name, layer) for every Lora of a model.
template <class Model, class Visit>
void visit_layers(Model& model, const Visit& visit) {
  model.visit_parameters(detail::LayerVisitor<Visit>{visit});
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

}  // namespace eigenformer::inline EIGENFORMER_ABI::lora
