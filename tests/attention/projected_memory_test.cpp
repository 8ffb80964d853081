// SPDX-License-Identifier: MIT
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/attention/projected_memory.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
template <class T>
using Normed = ef::GroupedQueryAttention<T, ef::Linear<T>, ef::NoPosition, ef::RmsNorm<T>, ef::LayerNorm<T>>;

template <class T>
class ProjectedMemory : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(ProjectedMemory, Scalars);

template <class T>
ef::Tensor<T, 3> normal(Index batch, Index length, Index dim, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<T, 3> x(batch, length, dim);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

/// Everything that attention may have but positions, no weight of which is as it starts.
template <class T>
Normed<T> some_attention() {
  Normed<T> block({.dim = 13,
                   .heads = 6,
                   .kv_heads = 3,
                   .head_dim = 5,
                   .value_dim = 7,
                   .memory_dim = 11,
                   .bias = true,
                   .softmax_scale = 0.4,
                   .softcap = 5},
                  ef::Random(3));
  support::Generator random(29);
  block.visit_parameters([&](const ef::Name&, auto& parameter) {
    for (T& value : parameter.values()) value += static_cast<T>(0.3 * random.normal());
  });
  return block;
}

/// Each of two memories, one shorter than the other, for three sequences side by side.
TYPED_TEST(ProjectedMemory, gives_what_cross_attention_gives) {
  using T = TypeParam;
  const Normed<T> block = some_attention<T>();
  const auto x = normal<T>(6, 2, 13, 1), memory = normal<T>(2, 17, 11, 2);
  ef::Tensor<T, 3> repeated(6, 17, 11);
  for (Index b = 0; b < 6; ++b) repeated.chip(b, 0) = memory.chip(b / 3, 0);
  const std::array<Index, 2> lengths = {4, 17};
  const std::array<Index, 6> all = {4, 4, 4, 17, 17, 17};
  const ef::Tensor<T, 3> expected = block(x, repeated, ef::Padding{all});
  ef::Context context;
  auto key_values = block.key_value_cache(2, 17);
  ef::project_memory<T>(block, memory, key_values, context);
  EXPECT_EQ(key_values.length(), 17);
  ef::Tensor<T, 3> y(x.dimensions()), in_place = x;
  ef::attend_to_memory<T>(block, x, y, ef::Padding{lengths}, key_values, context);
  EXPECT_TRUE(support::within(support::worst_row_nmse(y, expected, 13), 4 * tolerance::attention_row_nmse<T>(5)));
  ef::attend_to_memory<T>(block, in_place, in_place, ef::Padding{lengths}, key_values, context);
  EXPECT_TRUE(support::bit_equal(in_place, y));
  // A memory that comes in two parts is the same memory.
  auto in_parts = block.key_value_cache(2, 17);
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 5}, {5, 12}}) {
    const ef::Tensor<T, 3> part = memory.slice(std::array<Index, 3>{0, first, 0}, std::array<Index, 3>{2, count, 11});
    ef::project_memory<T>(block, part, in_parts, context);
  }
  ef::attend_to_memory<T>(block, x, in_place, ef::Padding{lengths}, in_parts, context);
  EXPECT_TRUE(support::within(support::worst_row_nmse(in_place, y, 13), 4 * tolerance::attention_row_nmse<T>(5)));
}

/// NaN where a mask hides a memory changes no bit, and a memory of length zero gives the output's bias, as attention says.
TYPED_TEST(ProjectedMemory, reads_nothing_behind_the_mask) {
  using T = TypeParam;
  const ef::MultiHeadAttention<T> block({.dim = 14, .heads = 2}, ef::Random(1));
  const auto x = normal<T>(2, 1, 14, 1);
  auto memory = normal<T>(2, 9, 14, 2);
  const std::array<Index, 2> lengths = {0, 5};
  ef::Context context;
  const auto attended = [&] {
    auto key_values = block.key_value_cache(2, 9);
    ef::project_memory<T>(block, memory, key_values, context);
    ef::Tensor<T, 3> y(x.dimensions());
    ef::attend_to_memory<T>(block, x, y, ef::Padding{lengths}, key_values, context);
    return y;
  };
  const ef::Tensor<T, 3> clean = attended();
  for (Index b = 0; b < 2; ++b) {
    for (Index t = lengths[static_cast<std::size_t>(b)]; t < 9; ++t) {
      memory.chip(b, 0).chip(t, 0).setConstant(std::numeric_limits<T>::quiet_NaN());
    }
  }
  EXPECT_TRUE(support::bit_equal(attended(), clean));
  for (Index d = 0; d < 14; ++d) EXPECT_EQ(clean(0, 0, d), block.output.bias->value[d]);
}

TYPED_TEST(ProjectedMemory, has_the_same_bits_for_any_thread_count_and_allocates_nothing) {
  using T = TypeParam;
  const Normed<T> block = some_attention<T>();
  const auto x = normal<T>(6, 2, 13, 1), memory = normal<T>(2, 131, 11, 2);
  ef::Tensor<T, 3> first;
  for (const int threads : {1, 2, 3}) {
    ef::Context context({.threads = threads});
    auto key_values = block.key_value_cache(2, 131);
    ef::Tensor<T, 3> y(x.dimensions());
    const auto run = [&] {
      key_values.clear();
      ef::project_memory<T>(block, memory, key_values, context);
      ef::attend_to_memory<T>(block, x, y, ef::NoMask{}, key_values, context);
    };
    run();
    if (threads == 1) first = y;
    EXPECT_TRUE(support::bit_equal(y, first)) << threads;
    if (!support::AllocationCounter::available()) continue;
    EXPECT_EQ(support::allocations_during(run), 0U) << threads;
  }
}

TEST(ProjectedMemory, rejects_what_does_not_fit_and_writes_nothing) {
  const Normed<float> block = some_attention<float>();
  ef::Context context;
  auto key_values = block.key_value_cache(2, 6);
  const auto message_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const ef::Error& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  const auto project = [&](const ef::Tensor<float, 3>& memory) {
    return message_of([&] { ef::project_memory<float>(block, memory, key_values, context); });
  };
  EXPECT_EQ(project(normal<float>(2, 6, 12, 1)),
            "GroupedQueryAttention: expected a memory of shape [2, 6, 11], got [2, 6, 12]");
  EXPECT_EQ(project(normal<float>(3, 6, 11, 1)),
            "GroupedQueryAttention: expected a memory of shape [2, 6, 11], got [3, 6, 11]");
  EXPECT_EQ(project(normal<float>(2, 7, 11, 1)),
            "KeyValueCache: expected room for 7 more positions, got a capacity of 6 with 0 in use");
  EXPECT_EQ(key_values.length(), 0);
  ef::project_memory<float>(block, normal<float>(2, 6, 11, 1), key_values, context);
  ef::Tensor<float, 3> y(4, 3, 13);
  y.setConstant(17);
  const auto attend = [&](const ef::Tensor<float, 3>& x, const auto& mask, const auto& cache) {
    return message_of([&] { ef::attend_to_memory<float>(block, x, y, mask, cache, context); });
  };
  const auto x = normal<float>(4, 3, 13, 1);
  const std::array<Index, 4> lengths = {1, 1, 1, 1};
  EXPECT_EQ(attend(normal<float>(4, 3, 14, 1), ef::NoMask{}, key_values),
            "GroupedQueryAttention: expected last dimension 13, got x of shape [4, 3, 14]");
  EXPECT_EQ(attend(normal<float>(4, 2, 13, 1), ef::NoMask{}, key_values),
            "GroupedQueryAttention: expected y of shape [4, 2, 13], got [4, 3, 13]");
  EXPECT_EQ(attend(x, ef::Padding{lengths}, key_values), "Padding: expected one length for each of 2 batches, got 4");
  const ef::KeyValueCache<float> three({.batch = 3, .capacity = 1, .kv_heads = 3, .head_dim = 5, .value_dim = 7});
  EXPECT_EQ(attend(x, ef::NoMask{}, three),
            "GroupedQueryAttention: expected as many sequences for each of 3 memories, got x of shape [4, 3, 13]");
  const ef::KeyValueCache<float> foreign({.batch = 2, .capacity = 1, .kv_heads = 3, .head_dim = 5});
  EXPECT_EQ(
      attend(x, ef::NoMask{}, foreign),
      "GroupedQueryAttention: expected a key/value cache [batch, kv_heads, head_dim, value_dim] of shape [2, 3, 5, "
      "7], got [2, 3, 5, 5]");
  EXPECT_TRUE(std::all_of(y.data(), y.data() + y.size(), [](float value) { return value == 17; }));
}

}  // namespace
