// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/named_prefixes.hpp>

#include <eigenformer/adapter/assigned.hpp>
#include <eigenformer/adapter/lora.hpp>
#include <eigenformer/adapter/lora_attach.hpp>
#include <eigenformer/adapter/lora_parameters.hpp>
#include <eigenformer/adapter/prefixes_of.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/model/decoder.hpp>

#include <gtest/gtest.h>

#include <filesystem>

#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

namespace {

using Projection = ef::Lora<ef::Linear<float>>;
using Attention = ef::Prefixed<ef::GroupedQueryAttention<float, Projection, ef::Rotary<>>>;
using Model =
    ef::Decoder<float, ef::PreNorm<ef::RmsNorm<float>, Attention, ef::GatedFeedForward<float, ef::Silu, Projection>>>;

Model model() {
  return Model({.vocabulary = 13, .dim = 24, .layers = 2, .heads = 4, .kv_heads = 2, .hidden = 37}, ef::Random(3));
}
void give_prefixes(Model& of, Index length, std::uint64_t seed) {
  for (auto& layer : of.layers.layers) layer.attention.prefix = layer.attention.own_prefix(length, ef::Random(++seed));
}
void give_adapter(Model& of, const std::string& name, Index rank) {
  ef::lora::attach(of, {.rank = rank, .alpha = 4, .name = name}, ef::Random(5));
  support::Generator random(static_cast<std::uint64_t>(rank));
  ef::lora::parameters(of, name).visit_parameters([&](const ef::Name&, auto& parameter) {
    for (float& value : parameter.values()) value = static_cast<float>(0.3 * random.normal());
  });
}
/// Prefixes "short" and "long", an adapter "low", and both by the name "both".
Model with_all() {
  Model of = model();
  give_prefixes(of, 2, 10);
  ef::name_prefixes(of, "short");
  give_prefixes(of, 5, 20);
  ef::name_prefixes(of, "long");
  give_prefixes(of, 3, 30);
  ef::name_prefixes(of, "both");
  give_adapter(of, "low", 3);
  give_adapter(of, "both", 2);
  ef::lora::activate(of, {});
  return of;
}
/// What a sequence of that name is to get.
Model alone(const std::string& name) {
  Model of = model();
  if (name == "short") give_prefixes(of, 2, 10);
  if (name == "long") give_prefixes(of, 5, 20);
  if (name == "both") give_prefixes(of, 3, 30), give_adapter(of, "both", 2);
  if (name == "low") give_adapter(of, "low", 3);
  return of;
}

const std::vector<std::string> names = {"long", "", "both", "short", "low", "long"};
constexpr Index batch = 6, length = 7;

ef::Tensor<std::int32_t, 2> tokens() {
  support::Generator random;
  ef::Tensor<std::int32_t, 2> all(batch, length);
  for (Index i = 0; i < all.size(); ++i) all.data()[i] = static_cast<std::int32_t>(random.integer(13));
  return all;
}
template <class Numbers>
Numbers part(const Numbers& x, std::array<Index, 2> first, std::array<Index, 2> extents) {
  if constexpr (Numbers::NumDimensions == 2) {
    return x.slice(first, extents);
  } else {
    return x.slice(std::array<Index, 3>{first[0], first[1], 0}, std::array<Index, 3>{extents[0], extents[1], 13});
  }
}
void expect_each_as_alone(const ef::Tensor<float, 3>& logits) {
  for (Index b = 0; b < batch; ++b) {
    const std::string& name = names[static_cast<std::size_t>(b)];
    const ef::Tensor<float, 3> expected = alone(name)(part(tokens(), {b, 0}, {1, length}));
    const ef::Tensor<float, 3> own = part(logits, {b, 0}, {1, length});
    EXPECT_TRUE(within(support::worst_row_nmse(own, expected, 13), tolerance::gemm_row_nmse<float>)) << name;
  }
}

}  // namespace

TEST(NamedPrefixes, are_chosen_by_each_sequence_of_a_batch) {
  const Model all = with_all();
  ef::Context context;
  const ef::Assigned assigned(context, all, names);
  ef::Tensor<float, 3> logits(batch, length, 13);
  all.forward(tokens(), logits, context);
  expect_each_as_alone(logits);
}

TEST(NamedPrefixes, are_chosen_step_by_step_too) {
  const Model all = with_all();
  ef::Context context;
  const ef::Assigned assigned(context, all, names);
  ef::Tensor<float, 3> logits(batch, length, 13);
  auto caches = all.key_values(batch, length);
  for (const Index first : {0, 4, 5, 6}) {
    const Index count = first == 0 ? 4 : 1;
    ef::Tensor<float, 3> some(batch, count, 13);
    all.forward(part(tokens(), {0, first}, {batch, count}), some, caches, context);
    logits.slice(std::array<Index, 3>{0, first, 0}, some.dimensions()) = some;
  }
  expect_each_as_alone(logits);
}

TEST(NamedPrefixes, wait_where_sequences_have_no_labels) {
  const Model all = with_all();
  EXPECT_TRUE(support::bit_equal(all(tokens()), model()(tokens())));
  Model own = with_all();
  give_prefixes(own, 2, 10);
  EXPECT_TRUE(support::bit_equal(own(tokens()), alone("short")(tokens())));
  EXPECT_EQ(ef::prefixes_of<float>(own).size(), 2U) << "those with names are not among them";
  // Labels of adapters alone leave the prefix of all where it is.
  Model adapted = alone("both");
  ef::Context context;
  const ef::Assigned assigned(context, adapted, {"both", "both"});
  ef::Tensor<float, 3> y(2, length, 13);
  adapted.forward(part(tokens(), {0, 0}, {2, length}), y, context);
  const ef::Tensor<float, 3> expected = alone("both")(part(tokens(), {0, 0}, {2, length}));
  EXPECT_TRUE(within(support::worst_row_nmse(y, expected, 13), tolerance::gemm_row_nmse<float>));
}

TEST(NamedPrefixes, are_saved_and_loaded_by_name) {
  const std::string path =
      (std::filesystem::temp_directory_path() / "eigenformer_named_prefixes_test.safetensors").string();
  Model m = with_all();
  m.layers.layers[1].attention.named.all[1].prefix.keys.value.setConstant(3);
  ef::save_safetensors(path, std::as_const(m));
  Model other = with_all();
  ef::load_safetensors(path, other);
  EXPECT_TRUE(support::bit_equal(other.layers.layers[1].attention.named.find("long")->keys.value,
                                 m.layers.layers[1].attention.named.find("long")->keys.value));
  EXPECT_TRUE(ef::SafetensorsFile(path).contains("layers.1.attention.prefixes.long.keys"));
  std::filesystem::remove(path);
}

TEST(NamedPrefixes, allocate_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  const Model all = with_all();
  ef::Context context;
  const ef::Assigned assigned(context, all, names);
  ef::Tensor<float, 3> logits(batch, length, 13);
  const ef::Tensor<std::int32_t, 2> input = tokens();
  const auto call = [&] { all.forward(input, logits, context); };
  call();
  EXPECT_EQ(support::allocations_during(call), 0U);
}

TEST(NamedPrefixes, say_what_is_wrong_and_change_nothing) {
  Model m = with_all();
  EXPECT_THROW(ef::name_prefixes(m, "long"), ef::ValueError);
  EXPECT_THROW(ef::name_prefixes(m, ""), ef::ValueError);
  EXPECT_THROW(ef::name_prefixes(m, "a.b"), ef::ValueError);
  EXPECT_EQ(m.layers.layers[0].attention.named.all.size(), 3U);
  ef::MultiHeadAttention<float> plain({.dim = 4, .heads = 2}, ef::Random(1));
  EXPECT_THROW(ef::name_prefixes(plain, "long"), ef::ValueError);
  ef::Context context;
  EXPECT_THROW(ef::Assigned(context, m, {"Long"}), ef::ValueError);
  // They have no gradient.
  const ef::Assigned assigned(context, m, {"long", ""});
  Model::Cache cache;
  ef::Tensor<float, 3> y(2, length, 13);
  EXPECT_THROW(m.forward(part(tokens(), {0, 0}, {2, length}), y, context, &cache), ef::ValueError);
  // Three sequences are not two.
  ef::Tensor<float, 3> three(3, length, 13);
  EXPECT_THROW(m.forward(part(tokens(), {0, 0}, {3, length}), three, context), ef::ShapeError);
  // One that was replaced by what does not fit.
  m.layers.layers[1].attention.named.all[1].prefix =
      ef::Prefix<float>({.length = 2, .kv_heads = 1, .head_dim = 6}, ef::Random(1));
  EXPECT_THROW(m.forward(part(tokens(), {0, 0}, {2, length}), y, context), ef::ShapeError);
}
