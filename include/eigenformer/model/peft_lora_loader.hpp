#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_model.hpp>
#include <eigenformer/core/scalar_of.hpp>
#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/model/peft_lora_names.hpp>
#include <eigenformer/model/peft_options.hpp>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI::peft::detail {

/// Reading an adapter: first all that the files and the model disagree about, then the tensors, and last the model.
template <class Model, TensorSource Source>
class LoraLoader {
  using T = scalar_of<Model>;

 public:
  LoraLoader(const Source& file, PeftLoraConfig config, Model& model, LoadOptions options)
      : file_(file), config_(std::move(config)), model_(model), options_(std::move(options)) {}

  /// `disagreement` receives a line for each thing that does not fit.
  Result<void> load(std::string& disagreement) {
    disagreement = compare();
    if (!disagreement.empty()) return eigenformer::detail::other_tensors();
    if (Result<void> done = read(); !done) return done;
    set_training(model_, Training::frozen);
    auto next = adapters_.begin();
    lora::visit_layers(model_, [&](const Name&, auto& layer) {
      std::optional<LoraAdapter<T>>& adapter = *next++;
      if (adapter) layer.add(std::move(*adapter));
    });
    return {};
  }

 private:
  std::string compare() {
    std::string lines;
    eigenformer::detail::CheckpointComparison comparison;
    PeftModules targeted;
    PeftModules adapted;
    lora::visit_layers(model_, [&]<class Layer>(const Name& name, const Layer& layer) {
      adapters_.emplace_back();
      const std::optional<std::string> module = module_name(options_.names, name.str());
      modules_.push_back(module.value_or(""));
      if (!module) return;
      add_ends(targeted, *module);
      if (!config_.adapts(*module) || (config_.targets.empty() && !in_all_linear<Layer>(*module))) return;
      add_ends(adapted, *module);
      adapters_.back().emplace();
      expect(layer, *module, comparison, lines);
    });
    const auto unknown = [&](const auto& names, const PeftModules& known, std::string_view what) {
      for (const std::string& name : names) {
        if (known.find(name) == known.end()) add_line(lines, name, what);
      }
    };
    unknown(config_.targets, targeted, "no module of that name can carry an adapter");
    unknown(keys(config_.ranks), adapted, "rank_pattern names it, but no module of that name is adapted");
    unknown(keys(config_.alphas), adapted, "alpha_pattern names it, but no module of that name is adapted");
    if (adapted.empty() && lines.empty()) lines += "\n  the model has no module that can carry an adapter";
    return lines + comparison.disagreement(file_, {});
  }
  /// What "all-linear" stands for: it leaves out embeddings, and the output projection of transformers' models.
  template <class Layer>
  static bool in_all_linear(std::string_view module) {
    return !EmbedsTokens<Layer> && module != "lm_head";
  }
  /// All that may name the module: its ends in whole parts, and itself behind ^.
  static void add_ends(PeftModules& ends, const std::string& module) {
    ends.insert("^" + module);
    eigenformer::detail::any_end_of(module, [&](std::string_view end) {
      ends.emplace(end);
      return false;
    });
  }
  template <class Value>
  static PeftModules keys(const PeftExceptions<Value>& exceptions) {
    PeftModules names;
    for (const auto& [name, value] : exceptions) names.insert(name);
    return names;
  }

  template <class Layer>
  void expect(const Layer& layer, const std::string& module, eigenformer::detail::CheckpointComparison& comparison,
              std::string& lines) {
    LoraAdapter<T>& adapter = *adapters_.back();
    adapter.name = options_.name;
    adapter.options.rank = config_.rank_of(module);
    adapter.options.alpha = config_.alpha_of(module);
    if (config_.rank_stabilized) adapter.options.scaling = AlphaOverRootRank{};
    if (config_.learned_magnitude) adapter.options.magnitude.emplace();
    if constexpr (!EmbedsTokens<Layer>) adapter.options.dropout = config_.dropout;  // PEFT's embeddings do not drop
    const Index rank = adapter.options.rank;
    const Index in = extent_in(layer);
    const Index out = layer.output_features();
    if (options_.name.empty() || options_.name.find('.') != std::string::npos) {
      add_line(lines, module, "expected a name of the adapter without dots, got \"" + options_.name + '"');
    } else if (layer.has_adapter(options_.name)) {
      add_line(lines, module, "it has an adapter \"" + options_.name + "\" already");
    }
    if (rank > (std::max)(in, out)) {
      add_line(lines, module,
               "expected a rank of at most " + std::to_string((std::max)(in, out)) + ", got " + std::to_string(rank));
    }
    if (config_.learned_magnitude && (EmbedsTokens<Layer> || !Layer::merges)) {
      add_line(lines, module, "its weight has no rows whose lengths use_dora could learn");
    }
    const LoraNames names = names_of<Layer>(module);
    comparison.template expect<T>(file_, names.a, {rank, in});
    comparison.template expect<T>(file_, names.b, {out, rank});
    if (config_.learned_magnitude) comparison.template expect<T>(file_, names.magnitude, {out});
    if constexpr (Layer::merges) {
      const std::string base = base_name(module);
      if (file_.contains(base)) {
        comparison.template expect<typename Layer::Storage>(file_, base, layer.base.weight.shape());
      }
    }
  }
  template <class Layer>
  LoraNames names_of(const std::string& module) const {
    LoraNames named = lora_names<Layer>(module, options_.name);
    return file_.contains(named.a) ? named : lora_names<Layer>(module);
  }
  /// Where PEFT repeats the weight of an embedding or output projection that has an adapter.
  static std::string base_name(const std::string& module) {
    return "base_model.model." + module + ".base_layer.weight";
  }

  Result<void> read() {
    Result<void> done;
    std::size_t i = 0;
    lora::visit_layers(model_, [&]<class Layer>(const Name&, const Layer& layer) {
      std::optional<LoraAdapter<T>>& adapter = adapters_[i];
      const std::string& module = modules_[i++];
      if (!adapter || !done) return;
      const LoraNames names = names_of<Layer>(module);
      const Index rank = adapter->options.rank;
      const Index out = layer.output_features();
      done = read(names.a, adapter->a, Matrix<T>(rank, extent_in(layer)));
      if (done) done = read(names.b, adapter->b, Matrix<T>(out, rank));
      if (done && adapter->options.magnitude) {
        done = read(names.magnitude, adapter->magnitude.emplace(), Vector<T>(out));
      }
      if (done) done = check_base(layer, module);
    });
    return done;
  }
  template <class P>
  Result<void> read(const std::string& name, P& parameter, typename P::Value room) {
    parameter.value = std::move(room);
    return file_.template try_read<T>(name, parameter.shape(), parameter.values(), options_.read);
  }
  /// A weight of the base that the file repeats must be the model's, or readers would disagree about what the base is.
  template <class Layer>
  Result<void> check_base(const Layer& layer, const std::string& module) const {
    if constexpr (Layer::merges) {
      using Stored = typename Layer::Storage;
      const std::string name = base_name(module);
      if (!file_.contains(name)) return {};
      const auto& weight = layer.original();  // whatever is merged
      std::vector<Stored> repeated(static_cast<std::size_t>(weight.size()));
      Result<void> read =
          file_.template try_read<Stored>(name, layer.base.weight.shape(), std::span<Stored>(repeated), options_.read);
      if (!read || std::memcmp(repeated.data(), weight.data(), repeated.size() * sizeof(Stored)) == 0) return read;
      FileFault fault{
          .rule = 42, .position = 0, .tensor = {}, .reason = {"expected the weight of the base; got other values"}};
      fault.tensor.append_escaped(name);
      return fault;
    }
    return {};
  }

  const Source& file_;
  PeftLoraConfig config_;
  Model& model_;
  LoadOptions options_;
  std::vector<std::string> modules_;                     // of each Lora in the model's order, empty if it has no name
  std::vector<std::optional<LoraAdapter<T>>> adapters_;  // of each that is adapted
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::peft::detail
