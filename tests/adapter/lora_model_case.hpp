#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora.hpp>
#include <eigenformer/adapter/lora_attach.hpp>
#include <eigenformer/adapter/lora_parameters.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <string>
#include <vector>

#include "support/inputs.hpp"

/// Two layers whose projections can carry adapters.
namespace lora_model_case {

namespace ef = eigenformer;
using ef::Index;

template <class Projection>
using LayerWith = ef::PreNorm<ef::LayerNorm<float>, ef::MultiHeadAttention<float, Projection>,
                              ef::FeedForward<float, ef::Gelu, Projection>>;
using Model = ef::Stack<LayerWith<ef::Lora<ef::Linear<float>>>>;

template <class Projection>
LayerWith<Projection> layer(std::uint64_t seed) {
  return LayerWith<Projection>(
      {.norm = {.dim = 14}, .attention = {.dim = 14, .heads = 2}, .feed_forward = {.dim = 14, .hidden = 23}},
      ef::Random(seed));
}
inline Model model() { return Model({layer<ef::Lora<ef::Linear<float>>>(3), layer<ef::Lora<ef::Linear<float>>>(5)}); }

std::vector<std::string> trained(const auto& of) {
  std::vector<std::string> names;
  ef::visit_learnable(of, [&](const ef::Name& name, const auto& parameter) {
    if (parameter.trainable) names.push_back(name.str());
  });
  return names;
}
inline ef::Tensor<float, 3> input() {
  support::Generator random;
  ef::Tensor<float, 3> x(2, 3, 14);
  support::fill(x, support::Distribution::normal, random);
  return x;
}
template <class M>
void randomise(M& of) {
  support::Generator random(7);
  const auto adapters = ef::lora::parameters(of);
  adapters.visit_parameters([&](const ef::Name&, auto& parameter) {
    for (float& value : parameter.values()) value = static_cast<float>(0.2 * random.normal());
  });
}
template <class Failure, class Act>
std::string message(const Act& act) {
  try {
    act();
  } catch (const Failure& error) {
    return error.what();
  }
  return "nothing";
}

}  // namespace lora_model_case
