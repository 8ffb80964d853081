// SPDX-License-Identifier: MIT

#include <eigenformer/attention/cascaded_group_attention.hpp>
#include <eigenformer/io/checkpoint.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "attention/cascaded_case.hpp"
#include "reference/gradient.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using cascaded_case::randomise;
using ef::Index;
using images_case::random_images;

static_assert(ef::SpatialBlock<ef::CascadedGroupAttention<float>, float>);

namespace {

constexpr Index windows = 3, side = 5, dim = 21;
const ef::CascadedGroupAttentionOptions options = {
    .dim = dim, .key_dim = 11, .heads = 3, .resolution = side, .kernels = {7, 1, 3}};

template <class T>
ef::CascadedGroupAttention<T> attention_of(support::Generator& random,
                                           const ef::CascadedGroupAttentionOptions& chosen = options) {
  ef::CascadedGroupAttention<T> result(chosen, ef::Random(11));
  randomise(result, random);
  return result;
}

template <class T>
void expect_reference(ef::InstructionSet set) {
  support::Generator random(91);
  const auto block = attention_of<T>(random);
  const auto x = random_images<T>({windows, side, side, dim}, random);
  ef::Context context({.instruction_set = set});
  const auto expected =
      reference::cascaded_group_attention(images_case::wide(x), cascaded_case::wide(block), reference::NormBy::running);
  const double limit = tolerance::backward_row_nmse<T>;
  EXPECT_TRUE(support::within(support::worst_row_nmse(block(x, context), expected, dim), limit)) << ef::name(set);
  EXPECT_TRUE(support::within(support::worst_row_nmse(ef::fold(block)(x, context), expected, dim), limit))
      << ef::name(set);
}

template <class Failure>
std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Failure& error) {
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST(CascadedGroupAttention, follows_its_formula_with_norms_and_folded) {
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    expect_reference<float>(set);
    expect_reference<double>(set);
  }
}

TEST(CascadedGroupAttention, of_one_head_is_plain_attention_with_the_default_kernel) {
  support::Generator random(92);
  const auto block = attention_of<double>(random, {.dim = 7, .key_dim = 3, .heads = 1, .resolution = 3});
  EXPECT_EQ(block.options.kernels, std::vector<Index>{5});
  const auto x = random_images<double>({2, 3, 3, 7}, random);
  const auto expected =
      reference::cascaded_group_attention(images_case::wide(x), cascaded_case::wide(block), reference::NormBy::running);
  EXPECT_TRUE(support::within(support::worst_row_nmse(block(x), expected, 7), tolerance::backward_row_nmse<double>));
}

TEST(CascadedGroupAttention, equals_the_published_code) {
  const support::Golden golden("evit_cga_d32_h4_r5");
  ef::CascadedGroupAttention<double> block({.dim = 32,
                                            .key_dim = 8,
                                            .heads = 4,
                                            .resolution = 5,
                                            .kernels = {5, 5, 3, 3},
                                            .statistics = ef::FixedStatistics{}},
                                           ef::Random(1));
  ef::Context context;
  cascaded_case::expect_golden(block, golden, context);
  const auto x = images_case::stored_images<double>(golden, "x"), y = images_case::stored_images<double>(golden, "y");
  EXPECT_TRUE(support::within(support::max_error(ef::fold(block)(x), y), tolerance::pytorch_abs<double>));

  ef::CascadedGroupAttention<float> single(block.options, ef::Random(1));
  cascaded_case::fill(single, golden);
  const auto narrow = images_case::stored_images<float>(golden, "x");
  EXPECT_TRUE(
      support::within(support::worst_row_nmse(ef::fold(single)(narrow), y, 32), tolerance::backward_row_nmse<float>));
}

TEST(CascadedGroupAttention, equals_the_published_code_in_training) {
  const support::Golden golden("evit_cga_train_d16_h2_r4");
  ef::CascadedGroupAttention<double> block({.dim = 16, .key_dim = 4, .heads = 2, .resolution = 4, .kernels = {3, 5}},
                                           ef::Random(1));
  ef::Context context;
  cascaded_case::expect_golden(block, golden, context);
  ASSERT_TRUE(golden.contains("grad.attention_biases"));
  int statistics = 0;
  block.visit_parameters([&](const ef::Name& name, const auto& parameter) {
    const std::string text = name.str();
    if (text.find("running") == std::string::npos) return;
    EXPECT_TRUE(support::within(support::max_error(parameter.values(), golden.values<double>("after." + text)), 1e-12));
    ++statistics;
  });
  EXPECT_EQ(statistics, 10);
}

TEST(CascadedGroupAttention, trains_by_the_statistics_of_the_batch_with_the_gradients_of_its_formula) {
  support::Generator random(93);
  const ef::CascadedGroupAttentionOptions small = {
      .dim = 6, .key_dim = 3, .heads = 2, .resolution = 3, .kernels = {3, 5}};
  auto block = attention_of<double>(random, small);
  const auto x = random_images<double>({2, 3, 3, 6}, random), dy = random_images<double>({2, 3, 3, 6}, random);
  reference::Array<double> wide_x = images_case::wide(x);
  auto model = cascaded_case::wide(block);
  const auto forward = [&] { return cascaded_group_attention(wide_x, model, reference::NormBy::batch); };
  ef::Context context;
  ef::CascadedGroupAttention<double>::Cache cache;
  ef::Tensor<double, 4> y(2, 3, 3, 6), dx(2, 3, 3, 6);
  block.forward(x, y, context, &cache);
  block.backward(dy, cache, dx, context);
  EXPECT_TRUE(support::within(support::worst_row_nmse(y, forward(), 6), tolerance::backward_row_nmse<double>));
  const auto near = [&](const auto& gradient, reference::Array<double>& of) {
    const auto expected = reference::gradient_by_differences(of, images_case::wide(dy), forward);
    return support::within(
        support::mixed_error(gradient, expected, tolerance::difference_abs, tolerance::difference_rel), 1);
  };
  EXPECT_TRUE(near(dx, wide_x));
  EXPECT_TRUE(near(block.biases.gradient, model.biases));
  EXPECT_TRUE(near(block.output.projection.weight.gradient, model.proj.weight));
  for (const std::size_t h : {std::size_t(0), std::size_t(1)}) {
    EXPECT_TRUE(near(block.projections[h].projection.weight.gradient, model.qkvs[h].weight)) << h;
    EXPECT_TRUE(near(block.projections[h].norm.weight->gradient, model.qkvs[h].gain)) << h;
    EXPECT_TRUE(near(block.interactions[h].projection.weight.gradient, model.dws[h].weight)) << h;
    EXPECT_TRUE(near(block.interactions[h].norm.bias->gradient, model.dws[h].shift)) << h;
  }
}

TEST(CascadedGroupAttention, starts_as_nothing_for_a_residual_branch) {
  const ef::CascadedGroupAttention<float> block(options, ef::Random(2));
  support::Generator random(94);
  const ef::Tensor<float, 4> y = block(random_images<float>({2, side, side, dim}, random));
  for (Index i = 0; i < y.size(); ++i) ASSERT_EQ(y.data()[i], 0.0F);
}

TEST(CascadedGroupAttention, keeps_a_number_that_is_none_within_its_window) {
  support::Generator random(95);
  const auto block = attention_of<float>(random);
  auto x = random_images<float>({windows, side, side, dim}, random);
  const ef::Tensor<float, 4> before = block(x);
  x(1, 2, 3, 4) = std::numeric_limits<float>::quiet_NaN();
  const ef::Tensor<float, 4> after = block(x);
  const Index window = side * side * dim;
  for (Index i = 0; i < before.size(); ++i) {
    if (i / window == 1) continue;
    ASSERT_EQ(after.data()[i], before.data()[i]) << i;
  }
  EXPECT_TRUE(support::is_nan(static_cast<double>(after(1, 2, 3, 4))));
}

TEST(CascadedGroupAttention, writes_over_its_input) {
  support::Generator random(96);
  auto block = attention_of<float>(random);
  auto x = random_images<float>({windows, side, side, dim}, random);
  const auto dy = random_images<float>({windows, side, side, dim}, random);
  ef::Context context;
  ef::CascadedGroupAttention<float>::Cache cache;
  ef::Tensor<float, 4> y = x, dx = x, z = dy;
  block.forward(x, y, context, &cache);
  block.backward(dy, cache, dx, context);
  block.backward(z, cache, z, context);
  EXPECT_TRUE(support::bit_equal(z, dx));
  const ef::Tensor<float, 4> expected = block(x);
  block.forward(x, x, context);
  EXPECT_TRUE(support::bit_equal(x, expected));
}

TEST(CascadedGroupAttention, rejects_options_that_do_not_go_together) {
  const auto message = [](const ef::CascadedGroupAttentionOptions& chosen) {
    return message_of<ef::OptionError>([&] { ef::CascadedGroupAttention<float>(chosen, ef::Random(1)); });
  };
  EXPECT_EQ(message({.dim = 22, .heads = 3}),
            "CascadedGroupAttention: expected dim divisible by heads, got dim 22 and 3 heads");
  EXPECT_EQ(message({.dim = 21, .heads = 3, .kernels = {3, 5}}),
            "CascadedGroupAttention: expected 3 kernels, one for each head, got 2");
  EXPECT_EQ(message({.dim = 21, .heads = 3, .kernels = {3, 5, 2}}),
            "DepthwiseConvolution: expected an odd kernel, got 2");
  EXPECT_EQ(message({.dim = 21, .heads = 3, .resolution = 0}),
            "CascadedGroupAttention: expected resolution of at least 1, got 0");
  EXPECT_EQ(message({.dim = 0}), "CascadedGroupAttention: expected dim of at least 1, got 0");
  EXPECT_EQ(message({.dim = 21, .key_dim = 0, .heads = 3}),
            "CascadedGroupAttention: expected key_dim of at least 1, got 0");
}

TEST(CascadedGroupAttention, rejects_images_and_weights_of_another_resolution_with_both_sizes) {
  support::Generator random(97);
  auto block = attention_of<float>(random);
  ef::Context context;
  const auto error = [](const auto& call) { return message_of<ef::ShapeError>(call); };
  ef::Tensor<float, 4> x(2, side, 4, dim), y(2, side, side, dim), wide(2, side, side, dim + 1);
  x.setConstant(9.0F);
  EXPECT_EQ(error([&] { block.forward(x, x, context); }),
            "CascadedGroupAttention: expected windows of 5 x 5 pixels, got x of shape [2, 5, 4, 21]");
  EXPECT_EQ(error([&] { block.forward(y, x, context); }),
            "CascadedGroupAttention: expected y of shape [2, 5, 5, 21], got [2, 5, 4, 21]");
  EXPECT_EQ(error([&] { block.forward(wide, y, context); }),
            "CascadedGroupAttention: expected last dimension 21, got x of shape [2, 5, 5, 22]");
  for (Index i = 0; i < x.size(); ++i) ASSERT_EQ(x.data()[i], 9.0F);
  block.biases.value = ef::Matrix<float>::Zero(3, 49);
  EXPECT_EQ(error([&] { block.forward(y, y, context); }),
            "CascadedGroupAttention: expected attention_biases of shape [3, 25] for a resolution of 5, got [3, 49]");

  ef::CascadedGroupAttentionOptions larger = options;
  larger.resolution = 7;
  const auto path = std::filesystem::temp_directory_path() / "eigenformer_cascaded_of_7.safetensors";
  ef::save_safetensors(path.string(), ef::CascadedGroupAttention<float>(larger, ef::Random(1)));
  auto loaded = attention_of<float>(random);
  const std::string message = message_of<ef::FileError>([&] { ef::load_safetensors(path.string(), loaded); });
  std::filesystem::remove(path);
  EXPECT_NE(message.find("attention_biases: expected [3, 25], got [3, 49]"), std::string::npos) << message;
}

TEST(CascadedGroupAttention, rejects_parts_that_do_not_fit) {
  support::Generator random(98);
  const auto block = attention_of<float>(random);
  ef::Tensor<float, 4> x(2, side, side, dim);
  x.setZero();
  const auto message = [&](const auto& change) {
    auto changed = block;
    change(changed);
    return message_of<ef::ShapeError>([&] { changed(x); });
  };
  using Block = std::remove_const_t<decltype(block)>;
  EXPECT_EQ(message([](Block& b) { b.projections.pop_back(); }),
            "CascadedGroupAttention: expected 3 qkvs and dws, got 2 and 3");
  EXPECT_EQ(message([](Block& b) { b.projections[1] = b.output; }),
            "CascadedGroupAttention: expected qkvs to map 7 to 29 features, got 21 to 21");
  EXPECT_EQ(message([](Block& b) { b.output = b.projections[1]; }),
            "CascadedGroupAttention: expected proj to map 21 to 21 features, got 7 to 29");
  EXPECT_EQ(message([](Block& b) {
              b.interactions[2] = {{.projection = {.channels = 5}}, ef::Random(1)};
            }),
            "CascadedGroupAttention: expected dws of 11 channels, got 5");
  auto trained = block;
  Block::Cache cache;
  ef::Context context;
  ef::Tensor<float, 4> dy(3, side, side, dim);
  dy.setZero();
  trained.forward(x, x, context, &cache);
  EXPECT_EQ(message_of<ef::ShapeError>([&] { trained.backward(dy, cache, dy, context); }),
            "CascadedGroupAttention: expected dy with the 2 windows of forward, got shape [3, 5, 5, 21]");
}
