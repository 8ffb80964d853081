#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/prefix.hpp>
#include <eigenformer/core/scalar_of.hpp>
#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/model/peft_options.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI::peft::detail {

// Prefixes in a model and in PEFT's files, where the keys and values of all layers are one tensor, position by position:
//   prompt_embeddings    [virtual tokens, layers 2 kv_heads head_dim],   k_1 v_1 ... k_L v_L

template <class T, class Found>
struct PrefixVisitor {
  template <class B>
  static constexpr bool takes = std::is_same_v<B, Prefix<T>> || std::is_same_v<B, NamedPrefixes<T>>;
  const Found& found;

  template <class Child>
  void operator()(const Name& name, Child& child) const {
    if constexpr (std::is_same_v<std::remove_const_t<Child>, Prefix<T>>)
      found(name, child);  // named ones are set aside
  }
};
/// Calls found(name, prefix) for every prefix without a name, in the order of the model's parameters.
template <class Model, class Found>
void visit_prefixes(Model& model, const Found& found) {
  model.visit_parameters(PrefixVisitor<scalar_of<std::remove_const_t<Model>>, Found>{found});
}

/// Features of one position of keys or values.
template <class T>
Index row_width(const Tensor<T, 3>& half) {
  return half.dimension(1) * half.dimension(2);
}

/// Reads all prefixes of a model; `disagreement` receives a line for each thing that does not fit.
template <class Model>
Result<void> load_prefixes(const TensorSource auto& file, const PeftPrefixConfig& config, Model& model,
                           const LoadOptions& options, std::string& disagreement) {
  using T = scalar_of<Model>;
  Index layers = 0;
  Index width = 0;
  visit_prefixes(model, [&](const Name& name, const Prefix<T>& prefix) {
    ++layers;
    width += row_width(prefix.keys.value) + row_width(prefix.values.value);
    const auto differs = [&](std::string_view what, Index expected, Index got) {
      if (got == 0 || expected == got) return;
      add_line(disagreement, name.str(), std::string(what) + std::to_string(expected) + ", got " + std::to_string(got));
    };
    differs("expected num_attention_heads ", prefix.keys.value.dimension(1), config.kv_heads);
    differs("expected token_dim ", row_width(prefix.keys.value), config.features);
  });
  if (layers == 0) disagreement += "\n  the model has no attention with a prefix";
  if (layers != 0 && config.layers != 0 && config.layers != layers) {
    disagreement += "\n  expected num_layers " + std::to_string(layers) + ", got " + std::to_string(config.layers);
  }
  const std::string tensor(prompt_tensor);
  eigenformer::detail::CheckpointComparison comparison;
  if (layers != 0) comparison.template expect<T>(file, tensor, {config.virtual_tokens, width});
  disagreement += comparison.disagreement(file, {});
  if (!disagreement.empty()) return eigenformer::detail::other_tensors();

  Matrix<T> rows(config.virtual_tokens, width);
  Result<void> read =
      file.template try_read<T>(tensor, {config.virtual_tokens, width},
                                std::span<T>(rows.data(), static_cast<std::size_t>(rows.size())), options.read);
  if (!read) return read;
  set_training(model, Training::frozen);
  Index column = 0;
  visit_prefixes(model, [&](const Name&, Prefix<T>& prefix) {
    for (Parameter<T, 3>* const half : {&prefix.keys, &prefix.values}) {
      const Index features = row_width(half->value);
      *half = Parameter<T, 3>(Tensor<T, 3>(config.virtual_tokens, half->value.dimension(1), half->value.dimension(2)));
      for (Index n = 0; n < config.virtual_tokens; ++n) {
        std::copy_n(rows.data() + n * width + column, features, half->value.data() + n * features);
      }
      column += features;
    }
  });
  return {};
}

/// All prefixes of a model as PEFT's rows, and what a file says of them. `problems` receives a line for each thing that
/// a file cannot say.
template <class Model>
Matrix<scalar_of<Model>> prefix_rows(const Model& model, PeftPrefixConfig& config, std::string& problems) {
  using T = scalar_of<Model>;
  Shape first;
  visit_prefixes(model, [&](const Name& name, const Prefix<T>& prefix) {
    if (config.layers++ == 0) first = prefix.keys.shape();
    for (const Shape& shape : {prefix.keys.shape(), prefix.values.shape()}) {
      if (shape == first) continue;
      add_line(problems, name.str(),
               "expected all keys and values of shape " + first.to_string() + ", got " + shape.to_string());
    }
  });
  if (config.layers == 0) problems += "\n  the model has no attention with a prefix";
  if (config.layers != 0 && first[0] == 0) problems += "\n  its prefixes have no positions";
  if (!problems.empty()) return {};
  config = {first[0], config.layers, first[1], first[1] * first[2]};
  const Index width = 2 * config.layers * config.features;
  Matrix<T> rows(config.virtual_tokens, width);
  Index column = 0;
  visit_prefixes(model, [&](const Name&, const Prefix<T>& prefix) {
    for (const Parameter<T, 3>* const half : {&prefix.keys, &prefix.values}) {
      for (Index n = 0; n < config.virtual_tokens; ++n) {
        std::copy_n(half->value.data() + n * config.features, config.features, rows.data() + n * width + column);
      }
      column += config.features;
    }
  });
  return rows;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::peft::detail
