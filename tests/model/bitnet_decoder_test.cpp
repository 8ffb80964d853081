// SPDX-License-Identifier: MIT

#include <eigenformer/model/bitnet_decoder.hpp>
#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/cross_entropy.hpp>

#include <gtest/gtest.h>

#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

constexpr ef::DecoderOptions options = {
    .vocabulary = 23, .dim = 20, .layers = 2, .heads = 5, .kv_heads = 1, .hidden = 29, .embedding_deviation = 0.2};

template <class Projection>
class BitNetOf : public testing::Test {};
using Projections = testing::Types<ef::BitLinear<float>, ef::BitLinear158<float>>;
TYPED_TEST_SUITE(BitNetOf, Projections);

ef::Tensor<std::int32_t, 2> random_tokens(Index batch, Index length) {
  ef::Tensor<std::int32_t, 2> tokens(batch, length);
  support::Generator random(4);
  for (Index i = 0; i < tokens.size(); ++i) tokens.data()[i] = static_cast<std::int32_t>(random.integer(23));
  return tokens;
}

}  // namespace

TYPED_TEST(BitNetOf, packed_gives_what_the_trained_model_gives) {
  const ef::BitNetDecoder<float, TypeParam> model(options, ef::Random(1));
  const auto packed = ef::pack(model);
  const auto tokens = random_tokens(3, 17);
  EXPECT_TRUE(support::bit_equal(packed(tokens), model(tokens)));
}

TYPED_TEST(BitNetOf, packed_decodes_step_by_step_what_it_gives_at_once) {
  const auto packed = ef::pack(ef::BitNetDecoder<float, TypeParam>(options, ef::Random(1)));
  const auto tokens = random_tokens(1, 17);
  const ef::Tensor<float, 3> whole = packed(tokens);
  auto caches = packed.key_values(1, 17);
  ef::Context context;
  ef::Matrix<float> logits(1, 23);
  // A number that rounds the other way becomes another code, and the rest follows: what differs by float's rounding may
  // differ by a step of a code. So it is the median that must agree, and all of it must stay near.
  std::vector<double> errors;
  for (Index i = 0; i < 17; ++i) {
    packed.next_logits(ef::TokensView(tokens.data() + i, {1, 1}), logits, caches, context);
    for (Index j = 0; j < 23; ++j) errors.push_back(std::abs(double(logits(0, j)) - double(whole(0, i, j))));
  }
  std::sort(errors.begin(), errors.end());
  EXPECT_LE(errors[errors.size() / 2], 1e-5);
  EXPECT_LE(errors.back(), 0.2);
}

TYPED_TEST(BitNetOf, learns) {
  ef::BitNetDecoder<float, TypeParam> model(options, ef::Random(1));
  typename decltype(model)::Cache cache;
  ef::AdamW<float> optimizer({.learning_rate = 1e-2f, .weight_decay = 0});
  ef::Context context;
  ef::Tensor<std::int32_t, 2> tokens(4, 16), targets(4, 16);
  for (Index b = 0; b < 4; ++b) {
    for (Index i = 0; i < 16; ++i) {  // 3 more each time
      tokens(b, i) = static_cast<std::int32_t>((5 * b + 3 * i) % 23);
      targets(b, i) = static_cast<std::int32_t>((5 * b + 3 * i + 3) % 23);
    }
  }
  ef::Tensor<float, 3> logits(4, 16, 23);
  double first = 0, last = 0;
  for (int step = 0; step < 60; ++step) {
    model.forward(tokens, logits, context, &cache);
    last = ef::cross_entropy<float>(logits, targets, logits, context).mean;
    if (step == 0) first = last;
    ef::zero_gradients(model);
    model.backward(logits, cache, context);
    optimizer.step(model, context);
  }
  EXPECT_LT(last, 0.3 * first);
}

TYPED_TEST(BitNetOf, packed_allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  const auto packed = ef::pack(ef::BitNetDecoder<float, TypeParam>(options, ef::Random(1)));
  const auto tokens = random_tokens(2, 7);
  ef::Context context({.threads = 2});
  ef::Tensor<float, 3> logits(2, 7, 23);
  packed.forward(tokens, logits, context);
  const support::AllocationCounter counter;
  packed.forward(tokens, logits, context);
  EXPECT_EQ(counter.bytes(), 0U);
}
