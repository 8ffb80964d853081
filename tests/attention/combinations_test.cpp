// SPDX-License-Identifier: MIT
// Masks x biases x caps and dropout x heads x segments x dims x lengths, each once; what one of them alone does is tested elsewhere.
#include "attention/attention_case.hpp"

#include <set>

namespace attention_test {
namespace {

constexpr std::array<std::array<Index, 2>, 5> all_heads = {{{1, 1}, {3, 3}, {6, 2}, {5, 1}, {10, 2}}};
constexpr std::array<std::array<Index, 2>, 9> all_lengths = {
    {{1, 1}, {1, 61}, {7, 3}, {3, 71}, {29, 31}, {13, 131}, {67, 19}, {2, 129}, {17, 67}}};

/// What happens to scores and weights beside the bias.
struct Modifiers {
  double softcap;
  double dropout;
};
constexpr std::array<Modifiers, 4> all_modifiers = {{{0, 0}, {1.7, 0}, {0, 0.3}, {1.7, 0.15}}};

Masked mask_of(Index number) { return static_cast<Masked>(number); }

/// The combinations of masks `from` .. `to` - 1.
std::vector<Case> combinations(Index from, Index to) {
  std::vector<Case> cases;
  for (Index mask = from; mask < to; ++mask) {
    for (const Biased bias : {Biased::none, Biased::by_distance, Biased::dense}) {
      for (const auto& [h, g] : all_heads) {
        for (const auto& [s, t] : all_lengths) {
          for (const auto& [softcap, dropout] : all_modifiers) {
            for (const int cut : {0, 1, 2, 3}) {
              if (dropout != 0 && cut % 2 == 0) continue;
              for (const auto& [dk, dv] : {std::array<Index, 2>{2, 3}, std::array<Index, 2>{17, 5}}) {
                const std::uint64_t salt = cases.size() + static_cast<std::uint64_t>(1'000'000 * mask);
                Case c{.batch = salt % 3 == 0 ? 2 : 1, .queries = s, .keys = t, .heads = h, .kv_heads = g};
                c.key_dim = dk;
                c.value_dim = dv;
                c.mask = mask_of(mask);
                if (needs_one_batch(c.mask)) c.batch = 1;
                c.bias = bias;
                c.softcap = softcap;
                c.dropout = dropout;
                if (cut == 1) c.segments = {t / 3};
                if (cut == 2) c.segments = {0, t / 2, t - t / 2};
                if (cut == 3) c.segments = {t / 2, t / 4};  // a prefix and a cache of Int8, and the current keys
                if (cut == 3) c.quantized = 2;
                c.gap = static_cast<Index>(salt % 3);
                c.offset = static_cast<Index>(salt % 16);
                c.salt = salt;
                cases.push_back(c);
              }
            }
          }
        }
      }
    }
  }
  return cases;
}

/// A part of the masks for each test, so that they run side by side.
class Combinations : public testing::TestWithParam<Index> {};

TEST(CombinationsOfAttention, are_as_many_as_promised_and_distinct) {
  const std::vector<Case> cases = combinations(0, mask_count);
  EXPECT_EQ(cases.size(), 15U * 3 * 5 * 9 * (2 * 4 + 2 * 2) * 2);
  EXPECT_GE(cases.size(), 20'000U);
  std::set<std::string> names;
  for (const Case& c : cases) {
    std::ostringstream name;
    name << c << c.salt;
    names.insert(name.str());
  }
  EXPECT_EQ(names.size(), cases.size());
}

TEST_P(Combinations, forward_equals_reference) {
  for (const Case& c : combinations(GetParam(), GetParam() + 1)) expect_forward<float>(c, 0.2);
}
TEST_P(Combinations, forward_in_double_equals_reference_in_every_seventh) {
  for (const Case& c : combinations(GetParam(), GetParam() + 1)) {
    if (c.salt % 7 == 0) expect_forward<double>(c, 0.2);
  }
}
TEST_P(Combinations, backward_equals_reference_in_every_third) {
  for (const Case& c : combinations(GetParam(), GetParam() + 1)) {
    if (c.salt % 3 == 1) expect_backward<float>(c);
    if (c.salt % 11 == 1) expect_backward<double>(c);
  }
}

/// What a mask hides may hold anything: neither the result nor a gradient changes by one bit.
TEST_P(Combinations, poison_behind_the_mask_changes_no_bit) {
  int hidden_cases = 0;
  for (const Case& c : combinations(GetParam(), GetParam() + 1)) {
    if (c.salt % 17 != 0 || c.batch != 1) continue;
    const reference::Mask mask = c.reference_options().mask;
    std::vector<Index> hidden;  // keys that no query sees
    for (Index t = 0; t < c.keys; ++t) {
      bool seen = false;
      for (Index s = 0; s < c.queries; ++s) seen = seen || mask(0, s, t);
      if (!seen) hidden.push_back(t);
    }
    hidden_cases += hidden.empty() ? 0 : 1;
    for_each_instruction_set([&](ef::Context& context) {
      SCOPED_TRACE(testing::Message() << c << " " << ef::name(context.instruction_set()));
      Call<float> clean(c);
      clean.forward(context);
      clean.backward(context);
      for (const float poison :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30F}) {
        Call<float> call(c);
        for (const Index t : hidden) {
          for (Index i = 0; i < c.kv_heads * c.key_dim; ++i) call.key.cells(t, i) = poison;
          for (Index i = 0; i < c.kv_heads * c.value_dim; ++i) call.value.cells(t, i) = poison;
        }
        call.forward(context);
        call.backward(context);
        ASSERT_EQ(call.y.values(), clean.y.values());
        ASSERT_EQ(call.dquery.values(), clean.dquery.values());
        ASSERT_EQ(call.dkey.values(), clean.dkey.values());
        ASSERT_EQ(call.dvalue.values(), clean.dvalue.values());
      }
    });
  }
  // The last query of a causal mask sees every key.
  const bool hides_no_key_from_all = mask_of(GetParam()) == Masked::none || mask_of(GetParam()) == Masked::causal;
  EXPECT_TRUE(hides_no_key_from_all || hidden_cases > 0);
}

/// A key that some queries see and others do not: its NaN reaches those that do and no other.
TEST_P(Combinations, poison_that_some_queries_see_reaches_no_other) {
  int judged = 0;
  for (const Case& c : combinations(GetParam(), GetParam() + 1)) {
    if (c.salt % 29 != 0 || c.batch != 1 || c.queries < 3 || c.keys < 3) continue;
    const reference::Mask mask = c.reference_options().mask;
    const Index t = c.keys / 2;
    for_each_instruction_set([&](ef::Context& context) {
      SCOPED_TRACE(testing::Message() << c << " " << ef::name(context.instruction_set()));
      Call<float> clean(c), call(c);
      clean.forward(context);
      for (Index i = 0; i < c.kv_heads * c.value_dim; ++i)
        call.value.cells(t, i) = std::numeric_limits<float>::quiet_NaN();
      call.forward(context);
      const std::vector<float> expected = clean.y.values();
      const std::vector<float> actual = call.y.values();
      for (Index s = 0; s < c.queries; ++s) {
        for (Index i = 0; i < c.heads * c.value_dim; ++i) {
          const auto at = static_cast<std::size_t>(s * c.heads * c.value_dim + i);
          if (mask(0, s, t)) {
            ASSERT_TRUE(support::is_nan(static_cast<double>(actual[at])));
          } else {
            ASSERT_EQ(actual[at], expected[at]);
            ++judged;
          }
        }
      }
    });
  }
  const bool queries_are_alike = mask_of(GetParam()) == Masked::none || mask_of(GetParam()) == Masked::padding;
  EXPECT_TRUE(queries_are_alike || judged > 0);
}

INSTANTIATE_TEST_SUITE_P(Masks, Combinations, testing::Range(Index(0), mask_count),
                         [](const auto& which) { return "mask_" + std::to_string(which.param); });

}  // namespace
}  // namespace attention_test
