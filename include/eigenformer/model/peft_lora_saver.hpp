#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_model.hpp>
#include <eigenformer/io/safetensors_writer.hpp>
#include <eigenformer/model/peft_lora_names.hpp>
#include <eigenformer/model/peft_options.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI::peft::detail {

/// Writing an adapter: what the model has becomes a description and tensors, unless PEFT's files cannot say it.
template <class Model>
class LoraSaver {
 public:
  LoraSaver(const Model& model, SaveOptions options) : options_(std::move(options)) {
    model.visit_parameters(Visitor{*this});
  }

  /// What the model has that a file cannot say, a line each; empty if all is well.
  const std::string& problems() {
    if (adapted_.empty() && problems_.empty())
      add_line(problems_, options_.name, "no module of the model has such an adapter");
    if (!problems_.empty()) return problems_;
    name_targets();
    for (const std::string& module : adapted_) {
      if (!config_.adapts(module))
        add_line(problems_, module, "other modules have names that end alike, so that PEFT could not tell them apart");
    }
    return problems_;
  }
  const PeftLoraConfig& config() const { return config_; }
  SafetensorsWriter& writer() { return writer_; }

 private:
  struct Visitor {
    template <class B>
    static constexpr bool takes = lora::detail::CarriesAdapters<B>;
    LoraSaver& saver;

    template <class Child>
    void operator()(const Name& name, const Child& child) const {
      if constexpr (takes<Child>) {
        saver.add_layer(name.str(), child);
      } else {
        const std::string parameter = name.str();
        const std::size_t dot = parameter.rfind('.');
        if (dot == std::string::npos) return;
        if (std::optional<std::string> module = module_name(saver.options_.names, parameter.substr(0, dot))) {
          saver.modules_.insert(std::move(*module));
        }
      }
    }
  };

  template <class Layer>
  void add_layer(const std::string& name, const Layer& layer) {
    const std::optional<std::string> module = module_name(options_.names, name);
    if (module) modules_.insert(*module);
    if (!layer.has_adapter(options_.name)) return;
    if (!module) return add_line(problems_, name, "expected a name for it in the table");
    const auto& adapter = layer.adapter(std::string_view(options_.name));
    const LoraOptions& has = adapter.options;
    const bool first = adapted_.empty();
    adapted_.insert(*module);
    if (first) {
      config_.rank = has.rank;
      config_.alpha = has.alpha;
      config_.rank_stabilized = std::holds_alternative<AlphaOverRootRank>(has.scaling);
      config_.learned_magnitude = has.magnitude.has_value();
    }
    if (std::holds_alternative<AlphaOverRootRank>(has.scaling) != config_.rank_stabilized ||
        has.magnitude.has_value() != config_.learned_magnitude) {
      add_line(problems_, *module, "a file has one scaling for all modules, and magnitudes for all or none");
    }
    if constexpr (!EmbedsTokens<Layer>) {
      if (!dropout_) dropout_ = config_.dropout = has.dropout;
      if (has.dropout != *dropout_) add_line(problems_, *module, "a file has one dropout for all modules");
    }
    if (has.rank != config_.rank) ranks_.emplace_back(*module, has.rank);
    if (has.alpha != config_.alpha) alphas_.emplace_back(*module, has.alpha);
    add_tensors<Layer>(*module, adapter);
  }
  template <class Layer>
  void add_tensors(const std::string& module, const auto& adapter) {
    const LoraNames names = lora_names<Layer>(module);
    writer_.add(names.a, adapter.a.shape(), adapter.a.values());
    writer_.add(names.b, adapter.b.shape(), adapter.b.values());
    if (adapter.magnitude) writer_.add(names.magnitude, adapter.magnitude->shape(), adapter.magnitude->values());
  }

  /// The shortest names that mean the adapted modules: the last part where it means no other, as users write it, and
  /// else the whole name, with others of the same end excluded.
  void name_targets() {
    const auto last_part = [](const std::string& module) { return module.substr(module.rfind('.') + 1); };
    PeftModules others;
    for (const std::string& module : modules_) {
      if (!adapted_.contains(module)) others.insert(last_part(module));
    }
    for (const std::string& module : adapted_) {
      const std::string last = last_part(module);
      config_.targets.insert(others.contains(last) ? module : last);
    }
    for (const std::string& module : modules_) {
      if (!adapted_.contains(module) && config_.adapts(module)) config_.excluded.insert(module);
    }
    for (const auto& [module, rank] : ranks_) config_.ranks.emplace(exactly(module), rank);
    for (const auto& [module, alpha] : alphas_) config_.alphas.emplace(exactly(module), alpha);
  }
  /// What means that module alone; the simpler form is the one that older versions of PEFT know too.
  std::string exactly(const std::string& module) const {
    for (const std::string& other : adapted_) {
      if (other.ends_with('.' + module)) return '^' + module;
    }
    return module;
  }

  SaveOptions options_;
  PeftModules modules_;  // of the model, whether or not they can carry adapters
  PeftModules adapted_;  // of them
  std::vector<std::pair<std::string, Index>> ranks_;
  std::vector<std::pair<std::string, double>> alphas_;
  std::optional<double> dropout_;
  PeftLoraConfig config_;
  SafetensorsWriter writer_;
  std::string problems_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::peft::detail
