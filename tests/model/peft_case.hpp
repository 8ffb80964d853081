#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_embedding.hpp>
#include <eigenformer/adapter/lora_model.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/io/safetensors_writer.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include "support/inputs.hpp"
#include "support/safetensors_files.hpp"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// Models with adapters, and folders with adapters that are written by hand.
namespace peft_case {

namespace ef = eigenformer;
using ef::Index;

template <class T>
using Layer = ef::PreNorm<ef::LayerNorm<T>, ef::MultiHeadAttention<T, ef::Lora<ef::Linear<T>>>,
                          ef::FeedForward<T, ef::Gelu, ef::Lora<ef::Linear<T>>>>;

/// An embedding, two layers of 14 features, 23 inside the feed-forward, and an output projection, all of which can carry
/// adapters.
template <class T>
struct Model : ef::Block<Model<T>> {
  using Scalar = T;
  explicit Model(std::uint64_t seed = 3)
      : embedding({.vocabulary = 19, .dim = 14}, ef::Random(seed)),
        layers({.count = 2,
                .layer = {.norm = {.dim = 14},
                          .attention = {.dim = 14, .heads = 2},
                          .feed_forward = {.dim = 14, .hidden = 23}}},
               ef::Random(seed + 1)),
        output({.in_features = 14, .out_features = 19}, ef::Random(seed + 2)) {}

  static void members(auto& self, auto&& visit) {
    visit("embedding", self.embedding);
    visit("layers", self.layers);
    visit("output", self.output);
  }

  ef::Lora<ef::Embedding<T>> embedding;
  ef::Stack<Layer<T>> layers;
  ef::Lora<ef::Linear<T>> output;
};

/// All parameters by their names.
template <class M>
std::map<std::string, std::vector<typename M::Scalar>> values_of(const M& model) {
  std::map<std::string, std::vector<typename M::Scalar>> values;
  model.visit_parameters([&](const ef::Name& name, const auto& parameter) {
    values[name.str()].assign(parameter.values().begin(), parameter.values().end());
  });
  return values;
}
/// Gives the adapters of that name numbers other than those they start from.
template <class M>
void randomise(M& model, const std::string& name = {}) {
  support::Generator random(7);
  const auto adapters = ef::lora::parameters(model, name);
  adapters.visit_parameters([&](const ef::Name&, auto& parameter) {
    for (auto& value : parameter.values()) value = static_cast<typename M::Scalar>(0.2 * random.normal());
  });
}

/// The message of what a call throws.
std::string message_of(const auto& call) {
  try {
    call();
  } catch (const ef::Error& error) {
    return error.what();
  }
  return "nothing thrown";
}

/// What a file says.
inline std::string text_of(const std::filesystem::path& path) {
  const support::Bytes bytes = support::read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// An adapter's folder. Fields and tensors may be changed before it is written.
struct Folder {
  std::map<std::string, std::string> config;
  std::map<std::string, std::pair<ef::Shape, std::vector<float>>> tensors = {};
  std::unique_ptr<support::TemporaryDirectory> directory = std::make_unique<support::TemporaryDirectory>();

  explicit Folder(std::map<std::string, std::string> fields) : config(std::move(fields)) {}

  void set(const std::string& name, const ef::Shape& shape, float first = 1) {
    std::vector<float> values(static_cast<std::size_t>(shape.size()));
    for (float& value : values) value = 0.01F * first++;
    tensors[name] = {shape, std::move(values)};
  }
  /// A and B of a module of our model, by PEFT's names.
  void set_lora(const std::string& module, Index rank, Index in, Index out) {
    set("base_model.model." + module + ".lora_A.weight", {rank, in}, 3);
    set("base_model.model." + module + ".lora_B.weight", {out, rank}, 5);
  }

  std::string path() const { return directory->path().string(); }
  std::filesystem::path file(std::string_view name) const { return *directory / name; }
  void write_tensors() const {
    ef::SafetensorsWriter writer;
    for (const auto& [name, tensor] : tensors) writer.add<float>(name, tensor.first, tensor.second);
    writer.write(file("adapter_model.safetensors"));
  }
  void write_text(const std::string& text) const {
    const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());
    support::write_file(file("adapter_config.json"), support::Bytes(bytes, bytes + text.size()));
  }
  const Folder& write() const {
    std::string text = "{";
    for (const auto& [name, value] : config)
      text.append(text.size() > 1 ? ", \"" : "\"").append(name).append("\": ").append(value);
    write_text(text + "}");
    write_tensors();
    return *this;
  }
};

/// LoRA of rank 3 on the queries and values of our model.
inline Folder lora_folder() {
  Folder folder({{"peft_type", "\"LORA\""},
                 {"r", "3"},
                 {"lora_alpha", "6"},
                 {"target_modules", "[\"query\", \"value\"]"},
                 {"bias", "\"none\""}});
  for (const char* module : {"layers.0.attention.query", "layers.0.attention.value", "layers.1.attention.query",
                             "layers.1.attention.value"}) {
    folder.set_lora(module, 3, 14, 14);
  }
  return folder;
}

}  // namespace peft_case
