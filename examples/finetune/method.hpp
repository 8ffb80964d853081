#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora.hpp>
#include <eigenformer/adapter/lora_attach.hpp>
#include <eigenformer/adapter/lora_parameters.hpp>
#include <eigenformer/adapter/prefix.hpp>
#include <eigenformer/model/decoder.hpp>

#include <optional>
#include <string>
#include <vector>

namespace ef = eigenformer;

/// The decoder of train_language_model that can carry adapters in every projection and a prefix in every attention. It has
/// none to begin with, and then it is that decoder to the bit, and reads its checkpoints.
using Projection = ef::Lora<ef::Linear<float>>;
using Adaptable = ef::Decoder<
    float, ef::PreNorm<ef::RmsNorm<float>, ef::Prefixed<ef::GroupedQueryAttention<float, Projection, ef::Rotary<>>>,
                       ef::GatedFeedForward<float, ef::Silu, Projection>>>;

/// How a prefix is trained: as what it is, or as what a small network makes of small vectors.
enum class PrefixTraining { none, itself, through_mlp };

/// What is trained of a model. All of it if there is neither LoRA nor a prefix.
struct Method {
  std::string name;
  std::string family;  ///< the line of the picture that it is a point of
  std::optional<ef::lora::AttachOptions> lora = {};
  PrefixTraining prefix = PrefixTraining::none;
};

/// Low-rank adapters of all projections, or of those that Hu et al. settle on. The scale is 2 whatever the rank, so that the
/// same learning rates suit all ranks.
inline Method lora_method(long rank, std::vector<std::string> targets) {
  const bool all = targets.empty();
  const std::string where = all ? "all" : "q,v";
  return {.name = "LoRA r=" + std::to_string(rank) + " " + where,
          .family = all ? "LoRA, all projections" : "LoRA, query and value",
          .lora = ef::lora::AttachOptions{.rank = rank,
                                          .alpha = 2 * static_cast<double>(rank),
                                          .targets = std::move(targets),
                                          .name = "r" + std::to_string(rank) + (all ? "-all" : "-qv")}};
}

/// Full fine-tuning first, which the others are compared with.
inline std::vector<Method> methods() {
  std::vector<Method> all = {{.name = "full", .family = "full fine-tuning"}};
  for (const long rank : {1, 2, 4, 8}) all.push_back(lora_method(rank, {"query", "value"}));
  for (const long rank : {1, 2, 4, 8}) all.push_back(lora_method(rank, {}));
  all.push_back({.name = "prefix", .family = "prefix", .prefix = PrefixTraining::itself});
  all.push_back({.name = "prefix, MLP", .family = "prefix through an MLP", .prefix = PrefixTraining::through_mlp});
  Method both = lora_method(4, {});
  both.name += " + prefix";
  both.family = "LoRA and prefix";
  both.prefix = PrefixTraining::itself;
  all.push_back(both);
  return all;
}
