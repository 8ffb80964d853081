// SPDX-License-Identifier: MIT

#include <eigenformer/model/gpt3_decoder.hpp>
#include <eigenformer/model/paged_key_values.hpp>

#include "model/prompted_case.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;
using prompted::Ints;

template <class Model>
class PagedKeyValues : public testing::Test {};
using Models =
    testing::Types<ef::LlamaDecoder<float>, ef::LlamaDecoder<double>, ef::Gpt3Decoder<float>, ef::Gpt3Decoder<double>>;
TYPED_TEST_SUITE(PagedKeyValues, Models);

/// Logits of every position, by one forward of the whole.
template <class Model>
ef::Matrix<typename Model::Scalar> whole(const Model& model, const Ints& text) {
  ef::Matrix<typename Model::Scalar> logits(static_cast<Index>(text.size()), model.vocabulary());
  ef::Context context;
  model.forward(text, logits, context);
  return logits;
}
template <class T>
testing::AssertionResult close(const auto& row, const auto& expected) {
  return support::within(support::max_error(std::span(row.data(), static_cast<std::size_t>(row.size())),
                                            std::span(expected.data(), static_cast<std::size_t>(expected.size()))),
                         256 * support::tolerance::epsilon<T>);
}

/// The texts have prompts of 1, 9 and 5 tokens, which are read at once, then go on side by side.
TYPED_TEST(PagedKeyValues, sequences_of_different_length_go_on_together_as_each_does_alone) {
  using T = typename TypeParam::Scalar;
  const auto model = prompted::small_model<TypeParam>();
  const Index prompts[] = {1, 9, 5};
  std::vector<Ints> texts;
  std::vector<ef::Matrix<T>> expected;
  for (Index b = 0; b < 3; ++b) {
    texts.push_back(prompted::text(prompts[b] + 11, static_cast<std::uint64_t>(b)));
    expected.push_back(whole(model, texts.back()));
  }
  ef::Context context;
  for (const Index page_length : {1, 4, 64}) {
    auto key_values = model.paged_key_values({.sequences = 3, .pages = 51, .page_length = page_length});
    std::vector<Index> sequences;
    for (std::size_t b = 0; b < 3; ++b) {
      const Index one[] = {key_values.add()};
      ef::Matrix<T> logits(prompts[b], 29);
      model.forward(ef::TokensView(texts[b].data(), {prompts[b]}), logits, key_values, one, context);
      EXPECT_TRUE(close<T>(logits, expected[b].topRows(prompts[b])));
      sequences.push_back(one[0]);
    }
    for (Index step = 0; step < 10; step += step < 4 ? 1 : 3) {  // 1, 1, 1, 1, 3, 3 tokens
      const Index count = step < 4 ? 1 : 3;
      Ints tokens;
      for (std::size_t b = 0; b < 3; ++b) {
        const auto from = texts[b].begin() + prompts[b] + step;
        tokens.insert(tokens.end(), from, from + count);
      }
      ef::Matrix<T> logits(3, 29);
      model.next_logits(ef::TokensView(tokens.data(), {3, count}), logits, key_values, sequences, context);
      for (Index b = 0; b < 3; ++b) {
        const auto& of = expected[static_cast<std::size_t>(b)];
        EXPECT_TRUE(close<T>(logits.row(b), of.row(prompts[b] + step + count - 1))) << page_length << " " << step;
        EXPECT_EQ(key_values.length(sequences[static_cast<std::size_t>(b)]), prompts[b] + step + count);
      }
    }
  }
}

TYPED_TEST(PagedKeyValues, a_common_prompt_is_stored_once_and_texts_part_behind_it) {
  using T = typename TypeParam::Scalar;
  const auto model = prompted::small_model<TypeParam>();
  const Ints prompt = prompted::text(9, 1);
  ef::Context context;
  auto key_values = model.paged_key_values({.sequences = 3, .pages = 6, .page_length = 4});
  const Index first[] = {key_values.add()};
  ef::Matrix<T> one(1, 29), three(3, 29);
  model.next_logits(prompt, one, key_values, first, context);
  EXPECT_EQ(key_values.free_pages(), 3);
  const Index sequences[] = {first[0], key_values.fork(first[0]), key_values.fork(first[0])};
  EXPECT_EQ(key_values.free_pages(), 3);
  for (Index step = 0; step < 2; ++step) {
    const Ints next = {3, 7, 11};
    model.next_logits(ef::TokensView(next.data(), {3, 1}), three, key_values, sequences, context);
    EXPECT_EQ(key_values.free_pages(), 1) << "two texts have copied the third page, the last one has kept it";
    for (Index b = 0; b < 3; ++b) {
      Ints all = prompt;
      all.insert(all.end(), static_cast<std::size_t>(step + 1), next[static_cast<std::size_t>(b)]);
      EXPECT_TRUE(close<T>(three.row(b), whole(model, all).bottomRows(1)));
    }
  }
  for (const Index sequence : sequences) key_values.remove(sequence);
  EXPECT_EQ(key_values.free_pages(), 6);
}

TYPED_TEST(PagedKeyValues, a_step_has_the_same_bits_for_any_thread_count_and_allocates_nothing) {
  using T = typename TypeParam::Scalar;
  const auto model = prompted::small_model<TypeParam>();
  const Ints next = {3, 7};
  ef::Matrix<T> first;
  for (const int threads : {1, 2, 3}) {
    ef::Context context({.threads = threads});
    auto key_values = model.paged_key_values({.sequences = 2, .pages = 51, .page_length = 1});
    ef::Matrix<T> logits(2, 29), one(1, 29);
    std::vector<Index> sequences(2);
    const auto decode = [&] {
      for (std::size_t b = 0; b < 2; ++b) {
        sequences[b] = key_values.add();
        static const Ints prompt = prompted::text(7, 1);
        model.next_logits(ef::TokensView(prompt.data(), {b == 0 ? 7 : 3}), one, key_values,
                          std::span<const Index>(&sequences[b], 1), context);
      }
      for (int step = 0; step < 13; ++step) {
        model.next_logits(ef::TokensView(next.data(), {2, 1}), logits, key_values, sequences, context);
      }
      for (const Index sequence : sequences) key_values.remove(sequence);
    };
    decode();
    decode();  // pages come back in another order, in more runs
    if (threads == 1) first = logits;
    EXPECT_TRUE(support::bit_equal(logits, first)) << threads;
    if (support::AllocationCounter::available()) {
      EXPECT_EQ(support::allocations_during(decode), 0U) << threads;
    }
  }
}

/// Whatever is refused: lengths and pages stay, and the next step has the bits of one without it.
TYPED_TEST(PagedKeyValues, what_does_not_fit_changes_no_layer) {
  using T = typename TypeParam::Scalar;
  auto model = prompted::small_model<TypeParam>();
  ef::Context context;
  auto key_values = model.paged_key_values({.sequences = 2, .pages = 6, .page_length = 4});
  const Ints prompt = prompted::text(9, 1), next = {3, 7}, unknown = {3, 29};
  const Index a = key_values.add(), b = key_values.add();
  const Index both[] = {a, b}, one[] = {a}, twice[] = {a, a}, strange[] = {a, 7};
  ef::Matrix<T> logits(2, 29), narrow(2, 28), row(1, 29);
  model.next_logits(prompt, row, key_values, one, context);
  auto untouched = key_values;
  logits.setConstant(7);
  const auto tokens = [](const Ints& list, Index length) { return ef::TokensView(list.data(), {2, length}); };
  const Ints long_text = prompted::text(80, 2);
  EXPECT_THROW(model.next_logits(tokens(next, 1), logits, key_values, one, context), ef::ShapeError);
  EXPECT_THROW(model.next_logits(tokens(next, 1), logits, key_values, twice, context), ef::ValueError);
  EXPECT_THROW(model.next_logits(tokens(next, 1), logits, key_values, strange, context), ef::ValueError);
  EXPECT_THROW(model.next_logits(tokens(unknown, 1), logits, key_values, both, context), ef::ValueError);
  EXPECT_THROW(model.next_logits(tokens(next, 1), narrow, key_values, both, context), ef::ShapeError);
  EXPECT_THROW(model.next_logits(tokens(next, 0), logits, key_values, both, context), ef::ShapeError);
  EXPECT_THROW(model.next_logits(tokens(long_text, 12), logits, key_values, both, context), ef::ValueError) << "pages";
  EXPECT_THROW(key_values.add(), ef::ValueError);
  EXPECT_THROW(key_values.fork(a), ef::ValueError);
  EXPECT_THROW(key_values.remove(2), ef::ValueError);
  if constexpr (TypeParam::adds_positions) {
    auto large = model.paged_key_values({.pages = 50});
    const Index only[] = {large.add()};
    EXPECT_THROW(model.next_logits(prompted::text(81, 2), row, large, only, context), ef::ValueError) << "positions";
    EXPECT_EQ(large.free_pages(), 50);
    model.masks.odd.bandwidth = 0;
    EXPECT_THROW(model.next_logits(tokens(next, 1), logits, key_values, both, context), ef::ValueError);
    model.masks.odd.bandwidth = 5;
  }
  auto other = prompted::small_model<TypeParam>();
  other.layers.layers[1].attention.options.head_dim = 6;
  EXPECT_THROW(other.next_logits(tokens(next, 1), logits, key_values, both, context), ef::ShapeError);
  other.layers.layers.pop_back();
  EXPECT_THROW(other.next_logits(tokens(next, 1), logits, key_values, both, context), ef::ShapeError);
  EXPECT_TRUE((logits.array() == T(7)).all());
  EXPECT_EQ(key_values.length(a), 9);
  EXPECT_EQ(key_values.length(b), 0);
  EXPECT_EQ(key_values.free_pages(), 3);
  ef::Matrix<T> expected(2, 29);
  model.next_logits(tokens(next, 1), logits, key_values, both, context);
  model.next_logits(tokens(next, 1), expected, untouched, both, context);
  EXPECT_TRUE(support::bit_equal(logits, expected));
}

TEST(PagedKeyValuesLayers, are_alike_but_for_the_sizes_of_heads) {
  const ef::PagedKeyValueCacheOptions options = {.sequences = 2, .pages = 3, .kv_heads = 1, .head_dim = 2};
  ef::PagedKeyValueCacheOptions other = options;
  other.kv_heads = 2;
  const auto make = [](const std::vector<ef::PagedKeyValueCacheOptions>& of) { ef::PagedKeyValues<float>{of}; };
  EXPECT_NO_THROW(make({options, other}));
  other.pages = 4;
  EXPECT_THROW(make({options, other}), ef::OptionError);
  EXPECT_THROW(make({}), ef::OptionError);
  const ef::LlamaDecoder<float> none({.vocabulary = 5, .dim = 4, .layers = 0}, ef::Random(1));
  EXPECT_THROW(static_cast<void>(none.paged_key_values({})), ef::OptionError);
}

TEST(PagedKeyValuesLayers, may_be_stored_in_half_precision) {
  const auto model = prompted::small_model<ef::Gpt3Decoder<double>>();
  auto key_values = model.paged_key_values<ef::Bfloat16>({.pages = 7, .page_length = 4});
  auto by_batch = model.key_values<ef::Bfloat16>(1, 13);
  const Index one[] = {key_values.add()};
  ef::Context context;
  const Ints text = prompted::text(13, 1);
  ef::Matrix<double> logits(13, 29), expected(13, 29);
  model.forward(text, logits, key_values, one, context);
  model.forward(text, expected, by_batch, context);
  EXPECT_TRUE(close<double>(logits, expected));
}

}  // namespace
