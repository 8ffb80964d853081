// SPDX-License-Identifier: MIT
#include <eigenformer/model/decoder_from_multi_head.hpp>

#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace {

namespace ef = eigenformer;
using ef::Index;
using Model = ef::LlamaDecoder<double>;

constexpr ef::DecoderOptions six_heads = {
    .vocabulary = 29, .dim = 42, .layers = 3, .heads = 6, .head_dim = 10, .hidden = 53, .embedding_deviation = 0.5};

std::vector<std::int32_t> some_tokens() {
  support::Generator random(17);
  std::vector<std::int32_t> tokens(13);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random.integer(29));
  return tokens;
}

TEST(DecoderFromMultiHead, pools_the_heads_of_every_layer_and_keeps_the_rest) {
  const Model model(six_heads, ef::Random(1));
  const Model grouped = ef::from_multi_head(model, {.kv_heads = 2});
  ASSERT_EQ(grouped.layers.layers.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& layer = grouped.layers.layers[i];
    const auto expected = ef::from_multi_head(model.layers.layers[i].attention, {.kv_heads = 2});
    EXPECT_TRUE(support::bit_equal(layer.attention.key.weight.value, expected.key.weight.value));
    EXPECT_TRUE(support::bit_equal(layer.attention.value.weight.value, expected.value.weight.value));
    EXPECT_TRUE(support::bit_equal(layer.attention.query.weight.value, expected.query.weight.value));
    EXPECT_TRUE(
        support::bit_equal(layer.feed_forward.up.weight.value, model.layers.layers[i].feed_forward.up.weight.value));
  }
  EXPECT_TRUE(support::bit_equal(grouped.embedding.weight.value, model.embedding.weight.value));
  const Index weights = 3 * 2 * (6 - 2) * 10 * 42;  // layers, keys and values, heads less, head_dim, dim
  EXPECT_EQ(ef::parameter_count(model) - ef::parameter_count(grouped), weights);
}

TEST(DecoderFromMultiHead, with_as_many_groups_as_heads_is_the_same_bit_for_bit) {
  const Model model(six_heads, ef::Random(1));
  const auto tokens = some_tokens();
  ef::Context context;
  ef::Matrix<double> logits(13, 29), same(13, 29), other(13, 29);
  model.forward(tokens, logits, context);
  ef::from_multi_head(model, {.kv_heads = 6}).forward(tokens, same, context);
  ef::from_multi_head(model, {.kv_heads = 3}).forward(tokens, other, context);
  EXPECT_TRUE(support::bit_equal(same, logits));
  EXPECT_FALSE(support::bit_equal(other, logits));
}

TEST(DecoderFromMultiHead, decodes_with_smaller_caches) {
  const Model grouped = ef::from_multi_head(Model(six_heads, ef::Random(1)), {.kv_heads = 1});
  const auto tokens = some_tokens();
  ef::Context context;
  ef::Matrix<double> logits(13, 29), next(1, 29);
  grouped.forward(tokens, logits, context);
  auto key_values = grouped.key_values(1, 13);
  EXPECT_EQ(key_values.front().options().kv_heads, 1);
  for (Index i = 0; i < 13; ++i) {
    const std::vector<std::int32_t> token = {tokens[static_cast<std::size_t>(i)]};
    grouped.next_logits(token, next, key_values, context);
    const ef::Matrix<double> expected = logits.row(i);
    EXPECT_TRUE(support::within(support::max_error(next, expected), 64 * support::tolerance::epsilon<double>)) << i;
  }
}

TEST(DecoderFromMultiHead, draws_other_random_heads_in_every_layer) {
  const ef::HeadPoolingOptions random = {.kv_heads = 2, .pooling = ef::RandomHeads{ef::Random(5)}};
  const Model model(six_heads, ef::Random(1));
  const Model grouped = ef::from_multi_head(model, random), again = ef::from_multi_head(model, random);
  const auto key = [](const Model& of, std::size_t i) { return of.layers.layers[i].attention.key.weight.value; };
  const auto value = [](const Model& of, std::size_t i) { return of.layers.layers[i].attention.value.weight.value; };
  EXPECT_FALSE(support::bit_equal(key(grouped, 0), key(grouped, 1)));
  EXPECT_FALSE(support::bit_equal(key(grouped, 1), key(grouped, 2)));
  EXPECT_FALSE(support::bit_equal(value(grouped, 0), key(grouped, 1)));
  EXPECT_TRUE(support::bit_equal(key(grouped, 2), key(again, 2)));
}

TEST(DecoderFromMultiHead, leaves_gradients_behind_and_refuses_groups_that_do_not_divide) {
  Model model(six_heads, ef::Random(1));
  model.embedding.weight.accumulated_gradient().setOnes();
  EXPECT_EQ(ef::from_multi_head(model, {.kv_heads = 3}).embedding.weight.gradient.size(), 0);
  EXPECT_THROW(ef::from_multi_head(model, {.kv_heads = 4}), ef::OptionError);
}

}  // namespace
