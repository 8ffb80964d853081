// SPDX-License-Identifier: MIT
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/scale_branches.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace ef = eigenformer;

namespace {

template <class Storage>
using Layer = ef::PreNorm<ef::LayerNorm<float>,
                          ef::MultiHeadAttention<float, ef::Linear<float, Storage>, ef::NoPosition,
                                                 ef::LayerNorm<float>, ef::LayerNorm<float>>,
                          ef::FeedForward<float, ef::Gelu, ef::Linear<float, Storage>, ef::LayerNorm<float>>>;

std::map<std::string, std::vector<float>> values_of(const auto& layer) {
  std::map<std::string, std::vector<float>> all;
  layer.visit_parameters([&](const ef::Name& name, const auto& parameter) {
    for (const auto value : parameter.values()) all[name.str()].push_back(ef::widened<float>(value));
  });
  return all;
}

template <class Storage>
void expect_scaled() {
  Layer<Storage> layer({.norm = {.dim = 6}, .attention = {.dim = 6, .heads = 2}, .feed_forward = {.dim = 6}},
                       ef::Random(1));
  auto expected = values_of(layer);
  int scaled = 0;
  for (const char* name :
       {"attention.value.weight", "attention.output.weight", "feed_forward.up.weight", "feed_forward.down.weight"}) {
    for (float& value : expected.at(name)) value *= 0.5F;  // exact in any of the types
    ++scaled;
  }
  EXPECT_EQ(scaled, 4);
  ef::scale_branches(layer, 0.5);
  EXPECT_EQ(values_of(layer), expected);
}

}  // namespace

TEST(ScaleBranches, multiplies_the_weights_that_branches_grow_with_and_no_other) {
  expect_scaled<float>();
  expect_scaled<ef::Bfloat16>();
}

/// Wang et al. 2022, "Foundation Transformers", figure 2, at powers of e by hand.
TEST(ScaleBranches, gains_of_sub_norm_are_those_of_the_paper) {
  EXPECT_NEAR(ef::sub_norm_gain(12), 1.7827, 5e-5);             // sqrt(ln 24)
  EXPECT_NEAR(ef::sub_norm_decoder_gain(6), 1.7001, 5e-5);      // sqrt(ln 18)
  EXPECT_NEAR(ef::sub_norm_encoder_gain(12, 6), 1.7498, 5e-5);  // sqrt(ln 18 ln 24 / 3)
  EXPECT_THROW(ef::sub_norm_gain(0), ef::OptionError);
  EXPECT_THROW(ef::sub_norm_decoder_gain(0), ef::OptionError);
  EXPECT_THROW(ef::sub_norm_encoder_gain(0, 1), ef::OptionError);
  EXPECT_THROW(ef::sub_norm_encoder_gain(1, 0), ef::OptionError);
}
