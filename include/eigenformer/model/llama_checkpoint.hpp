#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/model/decoder.hpp>
#include <eigenformer/model/llama_config_reader.hpp>
#include <eigenformer/model/llama_parameters.hpp>

#include <cstring>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The element type that all weight matrices of a checkpoint share, which is what to store them as; F32 if they differ,
/// which holds F16 and BF16 exactly.
inline Dtype llama_weights_dtype(const TensorSource auto& file) {
  std::optional<Dtype> common;
  for (std::size_t i = 0; i < file.size(); ++i) {
    const SafetensorsEntry entry = file[i];
    if (entry.shape.rank() != 2) continue;
    if (common && *common != entry.dtype) return Dtype::f32;
    common = entry.dtype;
  }
  return common.value_or(Dtype::f32);
}

namespace detail {

/// Tensors of published files that belong to no parameter: older transformers stored the rotary frequencies, and where
/// the output is tied to the embedding, some files repeat that as the second one.
inline constexpr std::array<std::string_view, 2> llama_unused = {"model.layers.*.self_attn.rotary_emb.inv_freq",
                                                                 "lm_head.weight"};

template <class = void>
LoadOptions llama_load_options(const LlamaConfig& config, const ReadOptions& read) {
  const std::size_t unused = config.output == OutputWeights::tied ? 2 : 1;
  return {.read = read, .names = {llama_names.data(), llama_names.size()}, .unused = {llama_unused.data(), unused}};
}

/// Whether the model type has output weights where the checkpoint has.
template <class Model>
Result<void> check_output(const LlamaConfig& config, std::string_view format) {
  if (Model::tied == (config.output == OutputWeights::tied)) return {};
  FileFault fault{.rule = 42, .position = 0, .tensor = {}, .reason = {"expected a model type "}, .format = format};
  fault.reason.append(Model::tied ? "without" : "with").append(" output weights of its own, got a checkpoint ");
  fault.reason.append(Model::tied ? "with" : "without");
  return fault;
}

/// A projection of that weight, inside what carries adapters if it is such.
template <class Output, class Weight>
Output output_of(Weight weight) {
  if constexpr (requires(Output output) { output.base; }) {
    return Output(decltype(Output::base)(std::move(weight)));
  } else {
    return Output(std::move(weight));
  }
}

/// A model of the right sizes whose weights are still to be read. One layer's are drawn and copied, the others' not at
/// all: drawing the weights of a large model would take longer than reading them.
template <class Model>
Model unread_llama(const DecoderOptions& options) {
  using Layer = std::remove_cvref_t<decltype(std::declval<Model&>().layers.layers[0])>;
  using Weights = decltype(std::declval<Model&>().embedding.weight.value);
  const Layer layer(Model::layer_options(options), Random(0));
  std::vector<Layer> layers(static_cast<std::size_t>(options.layers), layer);
  decltype(Model::embedding) embedding(Weights(options.vocabulary, options.dim));
  decltype(Model::norm) norm(Model::layer_options(options).norm);
  if constexpr (Model::tied) {
    return Model(std::move(embedding), decltype(Model::layers)(std::move(layers)), std::move(norm));
  } else {
    return Model(std::move(embedding), decltype(Model::layers)(std::move(layers)), std::move(norm),
                 output_of<decltype(Model::output)>(Weights(options.vocabulary, options.dim)));
  }
}

/// A tied model's file may repeat the embedding as its output projection; if it holds anything else there, readers
/// would disagree about what the model is.
template <class Model>
Result<void> check_repeated_embedding(const TensorSource auto& file, const Model& model, const ReadOptions& options) {
  if (!Model::tied || !file.contains("lm_head.weight")) return {};
  const auto& embedding = model.embedding.weight;
  using Element = stored_element<decltype(model.embedding.weight)>;
  std::vector<Element> repeated(static_cast<std::size_t>(embedding.size()));
  const Result<void> read =
      file.template try_read<Element>("lm_head.weight", embedding.shape(), std::span<Element>(repeated), options);
  if (!read || std::memcmp(repeated.data(), embedding.value.data(), repeated.size() * sizeof(Element)) == 0)
    return read;
  return FileFault{.rule = 42,
                   .position = 0,
                   .tensor = {"lm_head.weight"},
                   .reason = {"expected the embedding, to which the configuration ties the output; got other values"}};
}

/// What a description and a file disagree about, one line each, found before there is memory for the model.
inline std::string llama_disagreement(const TensorSource auto& file, const LlamaConfig& config,
                                      const LoadOptions& options) {
  const ParameterNames naming = {.prefix = {}, .table = llama_names};
  CheckpointComparison comparison;
  for_each_llama_parameter(config, [&](const std::string& name, const Shape& shape) {
    comparison.template expect<float>(file, naming.in_file(name).value_or(name), shape);
  });
  return comparison.disagreement(file, options);
}

template <class Model>
Result<Model> read_llama(const TensorSource auto& file, const LlamaConfig& config, const LoadOptions& options,
                         std::string& disagreement) {
  if (const Result<void> fits = check_output<Model>(config, "safetensors"); !fits) return fits.fault();
  disagreement = llama_disagreement(file, config, options);
  if (!disagreement.empty()) return other_tensors();
  Model model = unread_llama<Model>(config.decoder);
  const std::vector<std::string> names = names_in_file(file, model, options, disagreement);
  if (!disagreement.empty()) return other_tensors();
  Result<void> done;
  auto name = names.begin();
  model.visit_parameters([&]<class P>(const auto&, P& parameter) {
    if (!done) return;
    done = file.template try_read<stored_element<P>>(*name++, parameter.shape(), parameter.values(), options.read);
  });
  if (done) done = check_repeated_embedding(file, model, options.read);
  if (!done) return done.fault();
  return model;
}

}  // namespace detail

/// Reads a Llama model from a checkpoint with HuggingFace's names. What the description and the file disagree about is
/// one FileError that lists everything, thrown before there is memory for the model. Weights are read straight into
/// their place, widened where that is exact. A tied model's file may repeat the embedding as `lm_head.weight`.
///   Model: a LlamaDecoder with HalfSplit pairs, with TiedOutput or not as config.output says; stored in half precision
///          only if all matrices of the file are, see llama_weights_dtype
template <class Model, TensorSource Source>
Model load_llama(const Source& file, const LlamaConfig& config, const ReadOptions& read = {}) {
  std::string disagreement;
  Result<Model> model = detail::read_llama<Model>(file, config, detail::llama_load_options(config, read), disagreement);
  if (!disagreement.empty()) raise(FileError(model.fault(), file.source(), disagreement));
  return value_or_throw(std::move(model), file.source());
}
/// The same with the failure as a value, which has room for the first lines of the list only.
template <class Model, TensorSource Source>
Result<Model> try_load_llama(const Source& file, const LlamaConfig& config, const ReadOptions& read = {}) {
  std::string disagreement;
  Result<Model> model = detail::read_llama<Model>(file, config, detail::llama_load_options(config, read), disagreement);
  if (disagreement.empty()) return model;
  FileFault fault = model.fault();
  fault.reason.append(disagreement);
  return fault;
}

/// Writes a Llama model's weights under HuggingFace's names.
template <class Model>
void save_llama(const FilePath& path, const Model& model) {
  save_safetensors(path, model, {{"format", "pt"}}, {.prefix = {}, .table = llama_names});
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
