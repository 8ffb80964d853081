// SPDX-License-Identifier: MIT

#include <eigenformer/model/encoder_decoder.hpp>
#include <eigenformer/model/greedy_search.hpp>

#include "model/search_case.hpp"
#include "support/inputs.hpp"

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;
using Written = std::vector<std::vector<std::int32_t>>;

TEST(GreedySearch, takes_the_likeliest_token_until_the_end) {
  // Source 0 counts up to the end, 5; source 1 says the end at once; source 2 never.
  const search::TableModel model = {6, [](Index source, const search::Prefix& prefix) {
                                      std::vector<double> logits(6, -1);
                                      const std::int32_t next[] = {prefix.back() + 1, 5, 3};
                                      logits[static_cast<std::size_t>(next[source] % 6)] = 2;
                                      return logits;
                                    }};
  ef::Context context;
  const Written written = ef::greedy_search(model, Index(3), {.start = 2, .end = 5, .max_length = 4}, context);
  EXPECT_EQ(written, (Written{{3, 4, 5}, {5}, {3, 3, 3, 3}}));
  EXPECT_EQ(ef::greedy_search(model, Index(1), {.start = 2, .end = 5, .max_length = 2}, context), (Written{{3, 4}}));
}

TEST(GreedySearch, takes_the_lower_of_two_tokens_that_are_as_likely) {
  const search::TableModel model = {5, [](Index, const search::Prefix& prefix) {
                                      return std::vector<double>{0, 0, prefix.size() > 1 ? 1. : 3., 3, 1};
                                    }};
  ef::Context context;
  EXPECT_EQ(ef::greedy_search(model, Index(1), {.start = 1, .end = 0, .max_length = 3}, context), (Written{{2, 3, 3}}));
}

/// By the whole prefix anew at every step, without caches.
template <class T>
std::vector<std::int32_t> by_whole_prefixes(const ef::Transformer<T>& model, const std::vector<std::int32_t>& source,
                                            const ef::SearchOptions& options) {
  ef::Context context;
  std::vector<std::int32_t> prefix = {options.start};
  while (static_cast<Index>(prefix.size()) <= options.max_length) {
    ef::Matrix<T> logits(static_cast<Index>(prefix.size()), model.vocabulary());
    model.forward(prefix, logits, source, context);
    const auto last = logits.row(logits.rows() - 1);
    std::int32_t likeliest = 0;
    for (std::int32_t v = 1; v < model.vocabulary(); ++v) {
      if (last[v] > last[likeliest]) likeliest = v;
    }
    prefix.push_back(likeliest);
    if (likeliest == options.end) break;
  }
  return {prefix.begin() + 1, prefix.end()};
}

template <class T>
void expect_whole_prefixes() {
  const ef::SearchOptions options = {.start = 3, .end = 6, .max_length = 9};
  int ended = 0;
  std::vector<std::vector<std::int32_t>> together;
  ef::Tensor<std::int32_t, 2> sources(6, 5);
  const ef::Transformer<T> model = search::small_transformer<T>(13);
  ef::Context context;
  for (Index b = 0; b < 6; ++b) {
    support::Generator random(static_cast<std::uint64_t>(b));
    std::vector<std::int32_t> source(5);
    for (std::int32_t& token : source) token = static_cast<std::int32_t>(random.integer(13));
    std::copy_n(source.data(), 5, sources.data() + 5 * b);
    together.push_back(by_whole_prefixes(model, source, options));
    EXPECT_EQ(ef::greedy_search(model, ef::Source(source), options, context), (Written{together.back()}));
    ended += together.back().back() == options.end ? 1 : 0;
  }
  EXPECT_EQ(ef::greedy_search(model, ef::Source(sources), options, context), together);
  EXPECT_GT(ended, 0);
  EXPECT_LT(ended, 6);
}

TEST(GreedySearch, with_caches_writes_what_whole_prefixes_do_for_one_source_or_many) {
  expect_whole_prefixes<float>();
  expect_whole_prefixes<double>();
}

TEST(GreedySearch, rejects_options_and_logits_that_are_no_numbers) {
  ef::Context context;
  const search::TableModel model = {
      3, [](Index, const search::Prefix&) { return std::vector<double>(3, std::numeric_limits<double>::quiet_NaN()); }};
  EXPECT_THROW(ef::greedy_search(model, Index(1), {.max_length = 0}, context), ef::OptionError);
  EXPECT_THROW(ef::greedy_search(model, Index(1), {.end = 3, .max_length = 1}, context), ef::ValueError);
  EXPECT_THROW(ef::greedy_search(model, Index(1), {.max_length = 1}, context), ef::ValueError);
}

}  // namespace
