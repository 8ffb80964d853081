#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_model.hpp>

#include <ostream>

namespace eigenformer::inline EIGENFORMER_ABI::lora {

namespace detail {

/// Hands over the parameters of adapters, and the biases that are trained beside them.
template <class Visitor>
struct AdapterVisitor {
  template <class B>
  static constexpr bool takes = CarriesAdapters<B>;
  Visitor& visitor;
  std::string_view adapter;  ///< of that name, or all if it is empty

  template <class Child>
  void operator()(const Name& name, Child& child) const {
    if constexpr (CarriesAdapters<std::remove_const_t<Child>>) {
      eigenformer::detail::walk(name, child.base, *this);
      Child::visit_adapters(child, [&](std::string_view part, auto& each) {
        if (adapter.empty() || part == adapter) eigenformer::detail::walk(Name(name, part), each, visitor);
      });
    } else if constexpr (Child::learnable) {
      if (child.trainable && is_target(name.str(), "bias")) visitor(name, child);
    }
  }
};

/// Hands over all parameters but those of adapters.
template <class Visitor>
struct BaseVisitor {
  template <class B>
  static constexpr bool takes = CarriesAdapters<B>;
  Visitor& visitor;

  template <class Child>
  void operator()(const Name& name, Child& child) const {
    if constexpr (CarriesAdapters<std::remove_const_t<Child>>) {
      eigenformer::detail::walk(name, child.base, visitor);
    } else {
      visitor(name, child);
    }
  }
};

}  // namespace detail

/// The parameters of the adapters of a model alone, and the biases that are trained beside them, to save, load and count:
/// what visits parameters takes it for a model of its own. Names are those in the model, such as `query.default.lora_A`. The
/// model must outlive it.
template <class Model>
class AdapterParameters {
 public:
  /// Those of the adapter of that name, or of all if it is empty.
  explicit AdapterParameters(Model& model, std::string name = {}) : model_(&model), name_(std::move(name)) {}

  template <class Visitor>
  void visit_parameters(Visitor&& visitor) const {
    model_->visit_parameters(detail::AdapterVisitor<std::remove_reference_t<Visitor>>{visitor, name_});
  }

 private:
  Model* model_;
  std::string name_;
};

/// The parameters of a model without its adapters, as the model would have them if its projections carried none. What is
/// merged is in them: so a merged model is saved for programs that know nothing of adapters. The model must outlive it.
template <class Model>
class BaseParameters {
 public:
  /// Of a model.
  explicit BaseParameters(Model& model) : model_(&model) {}

  template <class Visitor>
  void visit_parameters(Visitor&& visitor) const {
    model_->visit_parameters(detail::BaseVisitor<std::remove_reference_t<Visitor>>{visitor});
  }

 private:
  Model* model_;
};

/// A model without its adapters, as something to save or load:
///   lora::merge(model);
///   save_safetensors("merged.safetensors", lora::base_parameters(model));
template <class Model>
BaseParameters<Model> base_parameters(Model& model) {
  return BaseParameters<Model>(model);
}

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
