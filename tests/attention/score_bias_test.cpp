// SPDX-License-Identifier: MIT
#include <eigenformer/attention/score_bias.hpp>

#include "attention/attention_case.hpp"
#include "support/golden.hpp"

#include <eigenformer/position/alibi.hpp>
#include <eigenformer/position/relative_bias.hpp>

namespace attention_test {
namespace {

/// [B, H, L, D] as stored -> [B, L, H, D].
ef::Tensor<double, 4> heads_last(const ef::Tensor<double, 4>& x) {
  return ef::Tensor<double, 4>(x.shuffle(std::array<int, 4>{0, 2, 1, 3}));
}

/// Result and gradients of a stored case; `dbias` may be null.
void expect_golden(const support::Golden& golden, const auto& mask, const ef::ScoreBias<double>& bias, double* dbias,
                   std::optional<double> softmax_scale = {}) {
  const auto of = [&](const char* tensor) { return heads_last(golden.tensor<double, 4>(tensor)); };
  const ef::Tensor<double, 4> q = of("q"), k = of("k"), v = of("v"), dy = of("d_y"), expected = of("y");
  for_each_instruction_set([&](ef::Context& context) {
    ef::Tensor<double, 4> y(dy.dimensions()), dq(q.dimensions()), dk(k.dimensions()), dv(v.dimensions());
    std::vector<double> lse(static_cast<std::size_t>(q.dimension(0) * q.dimension(1) * q.dimension(2)));
    const ef::KeyValueSegment<double> segments[] = {{k, v}};
    const ef::KeyValueGradient<double> gradients[] = {{dk, dv}};
    ef::attention<double>({q, segments, bias}, {y, lse.data()}, mask, {softmax_scale}, context);
    ef::attention_backward<double>({q, segments, bias}, {y, dy, lse.data()}, {dq, gradients, dbias}, mask,
                                   {softmax_scale}, context);
    EXPECT_TRUE(support::within(support::max_error(y, expected), support::tolerance::pytorch_abs<double>));
    const double limit = support::tolerance::pytorch_rel<float>;  // the gradients are stored in float32
    EXPECT_TRUE(support::within(support::mixed_error(dq, of("grad.q"), limit, limit), 1));
    EXPECT_TRUE(support::within(support::mixed_error(dk, of("grad.k"), limit, limit), 1));
    EXPECT_TRUE(support::within(support::mixed_error(dv, of("grad.v"), limit, limit), 1));
  });
}

TEST(ScoreBiasGolden, sparse_transformers_heads) {
  expect_golden(support::Golden("attn_sliding_window_causal"), ef::LocalBanded{6}, {}, nullptr);
  expect_golden(support::Golden("attn_sliding_window_causal"), ef::SlidingWindow{5, 0}, {}, nullptr);
  expect_golden(support::Golden("attn_strided_sparse"), ef::Strided{5}, {}, nullptr);
}

TEST(ScoreBiasGolden, alibi) {
  const ef::Alibi alibi({.heads = 8});
  std::vector<double> biases(8 * 27);
  alibi.distance_biases(1 - 14, 27, biases.data());
  expect_golden(support::Golden("attn_alibi_h8"), ef::Causal{},
                ef::ScoreBias<double>::by_distance(biases.data(), 8, 14, 14), nullptr);
}

TEST(ScoreBiasGolden, relative_positions_of_t5) {
  const support::Golden golden("attn_t5_bias_bidir");
  ef::RelativeBias<double> relative({.heads = 4, .num_buckets = 8, .max_distance = 20}, ef::Random(1));
  relative.weight.value = golden.matrix<double>("relative_attention_bias");
  std::vector<double> biases(4 * 35), dbiases(4 * 35);
  relative.distance_biases(1 - 18, 35, biases.data());
  expect_golden(golden, ef::NoMask{}, ef::ScoreBias<double>::by_distance(biases.data(), 4, 18, 18), dbiases.data(),
                1.0);
  relative.distance_biases_backward(1 - 18, 35, dbiases.data());
  const double limit = support::tolerance::pytorch_rel<float>;
  EXPECT_TRUE(support::within(support::mixed_error(relative.weight.gradient,
                                                   golden.matrix<double>("grad.relative_attention_bias"), limit, limit),
                              1));
}

/// The same numbers said in both ways give the same to rounding, whatever the sharing of heads.
TEST(ScoreBias, by_distance_is_dense_with_equal_diagonals) {
  const Case c{.queries = 37, .keys = 131, .heads = 6, .kv_heads = 2, .key_dim = 11, .value_dim = 5};
  support::Generator random(3);
  std::vector<float> distances(static_cast<std::size_t>(6 * c.distances())), dense;
  for (float& x : distances) x = static_cast<float>(random.normal());
  for (Index h = 0; h < 6; ++h) {
    for (Index s = 0; s < 37; ++s) {
      for (Index t = 0; t < 131; ++t) {
        dense.push_back(distances[static_cast<std::size_t>(h * c.distances() + t - s + 36)]);
      }
    }
  }
  for_each_instruction_set([&](ef::Context& context) {
    Call<float> one(c), other(c);
    const auto run = [&](Call<float>& call, const ef::ScoreBias<float>& bias) {
      ef::attention<float>({call.query.view(), call.segments(), bias}, {call.y.view(), nullptr}, ef::Causal{}, {},
                           context);
    };
    run(one, ef::ScoreBias<float>::by_distance(distances.data(), 6, 37, 131));
    run(other, ef::ScoreBias<float>::dense(dense.data(), 6, 37, 131));
    EXPECT_EQ(one.y.values(), other.y.values());
  });
}

TEST(ScoreBias, of_another_shape_is_refused_before_anything_is_written) {
  const Case c{.queries = 3, .keys = 5, .heads = 2, .kv_heads = 1};
  const std::vector<float> numbers(100);
  ef::Context context;
  for (const auto& bias : {ef::ScoreBias<float>::dense(numbers.data(), 1, 3, 5),
                           ef::ScoreBias<float>::by_distance(numbers.data(), 2, 5, 3)}) {
    Call<float> call(c);
    EXPECT_THROW(ef::attention<float>({call.query.view(), call.segments(), bias}, {call.y.view(), nullptr},
                                      ef::NoMask{}, {}, context),
                 ef::ShapeError);
    for (const float y : call.y.values()) EXPECT_TRUE(support::is_nan(static_cast<double>(y)));
  }
  Call<float> call(c);
  call.forward(context);
  float gradient = 7;
  EXPECT_THROW(ef::attention_backward<float>(
                   {call.query.view(), call.segments()}, {call.y.view(), call.dy.view(), call.log_sum_exp.data()},
                   {call.dquery.view(), call.gradients(), &gradient}, ef::NoMask{}, {}, context),
               ef::ValueError);
  EXPECT_EQ(gradient, 7);
}

}  // namespace
}  // namespace attention_test
