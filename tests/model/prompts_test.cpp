// SPDX-License-Identifier: MIT

#include <eigenformer/model/prompts.hpp>

#include "model/prompted_case.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;
using prompted::Ints;

Ints list_of(const ef::TokensView& tokens) { return {tokens.data(), tokens.data() + tokens.size()}; }

TEST(Prompts, are_lists_rows_or_one) {
  const std::vector<Ints> lists = {{1, 2, 3}, {4}, {}};
  const ef::Prompts ragged(lists);
  ASSERT_EQ(ragged.size(), 3);
  for (Index b = 0; b < 3; ++b) EXPECT_EQ(list_of(ragged[b]), lists[static_cast<std::size_t>(b)]);
  ef::Tensor<std::int32_t, 2> rows(2, 3);
  rows.setValues({{1, 2, 3}, {4, 5, 6}});
  const ef::Prompts even(rows);
  ASSERT_EQ(even.size(), 2);
  EXPECT_EQ(list_of(even[1]), (Ints{4, 5, 6}));
  const ef::Prompts one(lists[0]);
  ASSERT_EQ(one.size(), 1);
  EXPECT_EQ(list_of(one[0]), lists[0]);
  EXPECT_THROW(ef::Prompts(ef::Tensor<std::int32_t, 3>(1, 2, 3)), ef::ShapeError);
}

/// Prompts on both sides of a page's end; rows that take over what others have.
TEST(PromptedKeyValues, rows_go_on_from_prompts_and_from_each_other_with_the_pages_they_were_given) {
  const auto model = prompted::small_model<ef::LlamaDecoder<double>>();
  const std::vector<Ints> prompts = {prompted::text(64, 1), prompted::text(1, 2), prompted::text(65, 3),
                                     prompted::text(66, 4)};
  ef::Context context;
  auto key_values = model.key_values(ef::Prompts(prompts), {.capacity = 67, .sequences = 3}, context);
  EXPECT_EQ(key_values.lengths, (std::vector<Index>{64, 1, 65, 66}));
  std::vector<Ints> texts;
  for (const Ints& prompt : prompts) texts.insert(texts.end(), 3, prompt);
  Ints last = key_values.last_tokens;
  ASSERT_EQ(last.size(), 12U);
  ef::Matrix<double> logits(12, 29);
  support::Generator random(9);
  for (int step = 0; step < 67; ++step) {
    model.next_logits(ef::TokensView(last.data(), {12, 1}), logits, key_values, context);
    if (step % 13 == 0 || step == 66) {
      for (Index row = 0; row < 12; ++row) {
        const Ints& text = texts[static_cast<std::size_t>(row)];
        ef::Matrix<double> whole(static_cast<Index>(text.size()), 29);
        model.forward(text, whole, context);
        EXPECT_TRUE(support::within(
            support::max_error(std::span(logits.row(row).data(), 29), std::span(whole.bottomRows(1).data(), 29)),
            256 * support::tolerance::epsilon<double>))
            << "row " << row << " step " << step;
      }
    }
    for (Index source = 0; source < 4; ++source) {
      const Index from = 3 * source + random.integer(3), to = 3 * source + random.integer(3);
      key_values.copy_sequence(from, to);
      texts[static_cast<std::size_t>(to)] = texts[static_cast<std::size_t>(from)];
    }
    for (std::size_t row = 0; row < 12; ++row) {
      last[row] = static_cast<std::int32_t>(random.integer(29));
      texts[row].push_back(last[row]);
    }
  }
}

TEST(PromptedKeyValues, want_prompts_with_tokens_of_the_vocabulary) {
  const auto model = prompted::small_model<ef::Gpt3Decoder<float>>();
  ef::Context context;
  const auto open = [&](const std::vector<Ints>& prompts, const ef::CrossKeyValuesOptions& options) {
    static_cast<void>(model.key_values(ef::Prompts(prompts), options, context));
  };
  EXPECT_NO_THROW(open({}, {.capacity = 2}));
  EXPECT_NO_THROW(open({{1}, {2, 3}}, {.capacity = 2}));
  EXPECT_THROW(open({{1}, {}}, {.capacity = 2}), ef::ShapeError);
  EXPECT_THROW(open({{29, 1}}, {.capacity = 2}), ef::ValueError);
  EXPECT_THROW(open({{1}}, {.capacity = 2, .sequences = 0}), ef::OptionError);
  EXPECT_THROW(open({{1}}, {.capacity = -1}), ef::OptionError);
  EXPECT_THROW(open({prompted::text(81, 1)}, {.capacity = 2}), ef::ValueError) << "positions";
}

}  // namespace
