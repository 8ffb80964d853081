// SPDX-License-Identifier: MIT

#include <eigenformer/model/beam_search.hpp>
#include <eigenformer/model/encoder_decoder.hpp>
#include <eigenformer/model/greedy_search.hpp>

#include "model/prompted_case.hpp"
#include "model/search_case.hpp"
#include "reference/beam_search.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace {

namespace ef = eigenformer;
using ef::Index;
using Tokens = std::vector<std::int32_t>;

/// Logits that look random and depend on source and prefix alone. The end is a little likelier than the rest.
std::vector<double> hashed_logits(Index source, const search::Prefix& prefix, Index vocabulary, std::int32_t end) {
  std::uint64_t salt = static_cast<std::uint64_t>(source) + 977;
  for (const std::int32_t token : prefix) salt = salt * 31 + static_cast<std::uint64_t>(token) + 7;
  support::Generator random(salt);
  std::vector<double> logits(static_cast<std::size_t>(vocabulary));
  for (double& logit : logits) logit = random.normal();
  logits[static_cast<std::size_t>(end)] += 0.5;
  return logits;
}
search::TableModel hashed_model(Index vocabulary, std::int32_t end) {
  return {vocabulary,
          [=](Index source, const search::Prefix& prefix) { return hashed_logits(source, prefix, vocabulary, end); }};
}

std::vector<double> log_softmax(std::vector<double> logits) {
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit);
  for (double& logit : logits) logit -= std::log(sum);
  return logits;
}
reference::NextLogProbabilities next_of(Index source, Index vocabulary, const ef::SearchOptions& options) {
  return [=](const std::vector<int>& written) {
    search::Prefix prefix = {options.start};
    prefix.insert(prefix.end(), written.begin(), written.end());
    return log_softmax(hashed_logits(source, prefix, vocabulary, options.end));
  };
}
reference::SearchCase case_of(const ef::SearchOptions& options) {
  return {options.end, static_cast<std::size_t>(options.max_length), static_cast<std::size_t>(options.beams),
          options.length_penalty};
}

void expect_same(const std::vector<ef::Hypothesis>& found, const std::vector<reference::Written>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].tokens, Tokens(expected[i].tokens.begin(), expected[i].tokens.end())) << i;
    const double limit = 64 * support::tolerance::epsilon<double>;
    EXPECT_NEAR(found[i].log_probability, expected[i].log_probability, limit) << i;
    EXPECT_NEAR(found[i].score, expected[i].score, limit) << i;
  }
}

/// As many beams as there are sequences: then nothing is ever dropped, and the best of all is found.
TEST(BeamSearch, wide_enough_finds_the_best_of_all_sequences_in_order) {
  ef::Context context;
  for (const double alpha : {0.0, 0.6, 1.0, 2.5}) {
    const ef::SearchOptions options = {.start = 2, .end = 0, .max_length = 4, .beams = 121, .length_penalty = alpha};
    const auto found = ef::beam_search(hashed_model(4, 0), Index(2), options, context);
    ASSERT_EQ(found.size(), 2U);
    for (Index source = 0; source < 2; ++source) {
      const auto all = reference::all_sequences(next_of(source, 4, options), case_of(options));
      EXPECT_EQ(all.size(), 1U + 3 + 9 + 27 * 4);
      expect_same(found[static_cast<std::size_t>(source)], all);
    }
  }
}

TEST(BeamSearch, drops_and_keeps_what_the_formula_does) {
  ef::Context context;
  int cases = 0, shorter = 0;
  for (const Index beams : {1, 2, 3, 5, 7}) {
    for (const Index max_length : {1, 2, 6, 11}) {
      for (const double alpha : {0.0, 0.6}) {
        const ef::SearchOptions options = {
            .start = 4, .end = 3, .max_length = max_length, .beams = beams, .length_penalty = alpha};
        const auto found = ef::beam_search(hashed_model(5, 3), Index(3), options, context);
        for (Index source = 0; source < 3; ++source, ++cases) {
          const auto& of = found[static_cast<std::size_t>(source)];
          expect_same(of, reference::beam_search(next_of(source, 5, options), case_of(options)));
          for (const ef::Hypothesis& h : of) shorter += static_cast<Index>(h.tokens.size()) < max_length ? 1 : 0;
        }
      }
    }
  }
  EXPECT_EQ(cases, 5 * 4 * 2 * 3);
  EXPECT_GT(shorter, 50);
}

TEST(BeamSearch, of_one_beam_is_greedy_search) {
  ef::Context context;
  for (const double alpha : {0.0, 0.6, 3.0}) {
    const ef::SearchOptions options = {.start = 1, .end = 6, .max_length = 13, .beams = 1, .length_penalty = alpha};
    const auto found = ef::beam_search(hashed_model(7, 6), Index(11), options, context);
    const auto greedy = ef::greedy_search(hashed_model(7, 6), Index(11), options, context);
    for (std::size_t source = 0; source < 11; ++source) {
      ASSERT_EQ(found[source].size(), 1U);
      EXPECT_EQ(found[source][0].tokens, greedy[source]) << source;
    }
  }
}

/// Logits that differ in the last place have one log-probability, where the sum is much larger than they are.
TEST(BeamSearch, of_one_beam_is_greedy_search_where_rounding_hides_the_likeliest) {
  const double lower = 1e-12, higher = std::nextafter(1e-12, 1.0);
  const search::TableModel model = {4, [=](Index, const search::Prefix&) {
                                      return std::vector<double>{-3, lower, higher, lower};
                                    }};
  ef::Context context;
  const ef::SearchOptions options = {.start = 1, .end = 0, .max_length = 2, .beams = 1};
  const auto logs = log_softmax({-3, lower, higher, lower});
  ASSERT_EQ(logs[1], logs[2]);
  EXPECT_EQ(ef::beam_search(model, Index(1), options, context)[0][0].tokens, (Tokens{2, 2}));
  EXPECT_EQ(ef::greedy_search(model, Index(1), options, context)[0], (Tokens{2, 2}));
}

/// All sequences of a length are as likely: those are kept that continue the first, in the order of their tokens.
TEST(BeamSearch, tells_equal_sequences_apart_by_rank_and_token) {
  const search::TableModel model = {4, [](Index, const search::Prefix&) { return std::vector<double>(4, 0.25); }};
  ef::Context context;
  const auto found = ef::beam_search(model, Index(1), {.start = 0, .end = 3, .max_length = 3, .beams = 4}, context)[0];
  // Step 1 keeps 0, 1, 2 and ends 3; step 2 keeps what 0 can go on with; the end of that leaves two places.
  std::vector<Tokens> tokens;
  for (const ef::Hypothesis& h : found) tokens.push_back(h.tokens);
  EXPECT_EQ(tokens, (std::vector<Tokens>{{3}, {0, 0, 0}, {0, 0, 1}, {0, 0, 2}}));
}

TEST(BeamSearch, never_writes_a_token_that_cannot_be) {
  const search::TableModel model = {3, [](Index, const search::Prefix& prefix) {
                                      std::vector<double> logits = {0.5, -1, 2};
                                      logits[prefix.size() % 3] = -std::numeric_limits<double>::infinity();
                                      return logits;
                                    }};
  ef::Context context;
  const auto found = ef::beam_search(model, Index(1), {.start = 0, .end = 1, .max_length = 4, .beams = 50}, context)[0];
  for (const ef::Hypothesis& h : found) {
    for (std::size_t i = 0; i < h.tokens.size(); ++i) EXPECT_NE(h.tokens[i], static_cast<int>((i + 1) % 3));
    EXPECT_TRUE(support::is_finite(h.score));
  }
  EXPECT_EQ(found.size(), 8U);  // two go on from the start; of each one ends, then one more, and two are cut off
}

/// The whole with a Transformer: scores are those of one forward, and the best of a search that drops nothing is the best
/// of all sequences.
template <class T>
void expect_the_best_of_a_transformer() {
  const ef::Transformer<T> model = search::small_transformer<T>(4);
  ef::Tensor<std::int32_t, 2> sources(2, 5);
  sources.setValues({{3, 1, 2, 0, 0}, {2, 2, 1, 3, 1}});
  const std::array<Index, 2> lengths = {3, 5};
  const ef::SearchOptions options = {.start = 2, .end = 0, .max_length = 3, .beams = 40};
  ef::Context context({.threads = 2});
  const auto found = ef::beam_search(model, ef::Source(sources, lengths), options, context);
  for (Index b = 0; b < 2; ++b) {
    const Tokens source(sources.data() + 5 * b, sources.data() + 5 * b + lengths[static_cast<std::size_t>(b)]);
    const reference::NextLogProbabilities next = [&](const std::vector<int>& written) {
      Tokens prefix = {options.start};
      prefix.insert(prefix.end(), written.begin(), written.end());
      ef::Matrix<T> logits(static_cast<Index>(prefix.size()), 4);
      model.forward(prefix, logits, source, context);
      const auto last = logits.row(logits.rows() - 1);
      return log_softmax({static_cast<double>(last[0]), static_cast<double>(last[1]), static_cast<double>(last[2]),
                          static_cast<double>(last[3])});
    };
    const auto all = reference::all_sequences(next, case_of(options));
    const auto& of = found[static_cast<std::size_t>(b)];
    ASSERT_EQ(of.size(), all.size());
    const double limit = 64 * support::tolerance::epsilon<T>;
    for (std::size_t i = 0; i < of.size(); ++i) EXPECT_NEAR(of[i].score, all[i].score, limit) << i;
    EXPECT_EQ(of[0].tokens, Tokens(all[0].tokens.begin(), all[0].tokens.end()));
    ASSERT_GT(all[0].score - all[1].score, 2 * limit) << "too close to tell";
    const ef::SearchOptions one = {.start = 2, .end = 0, .max_length = 3, .beams = 1};
    EXPECT_EQ(ef::beam_search(model, ef::Source(source), one, context)[0][0].tokens,
              ef::greedy_search(model, ef::Source(source), one, context)[0]);
  }
}

TEST(BeamSearch, with_caches_finds_the_best_of_all_sequences) {
  expect_the_best_of_a_transformer<float>();
  expect_the_best_of_a_transformer<double>();
}

/// A Decoder goes on from prompts of different length: the search is that of the formula, fed by one forward of each whole
/// text.
template <class Model>
void expect_the_search_of_the_formula(Index beams) {
  const auto model = prompted::small_model<Model>(7);
  const std::vector<Tokens> prompts = {{3, 1, 2}, {5}, prompted::text(67, 1, 7)};
  const ef::SearchOptions options = {.end = 0, .max_length = 8, .beams = beams};
  ef::Context context({.threads = 2});
  const auto found = ef::beam_search(model, ef::Prompts(prompts), options, context);
  ASSERT_EQ(found.size(), 3U);
  for (std::size_t b = 0; b < 3; ++b) {
    const reference::NextLogProbabilities next = [&](const std::vector<int>& written) {
      Tokens text = prompts[b];
      text.insert(text.end(), written.begin(), written.end());
      ef::Matrix<double> logits(static_cast<Index>(text.size()), 7);
      model.forward(text, logits, context);
      const double* const last = logits.bottomRows(1).data();
      return log_softmax({last, last + 7});
    };
    const auto expected = reference::beam_search(next, case_of(options));
    ASSERT_EQ(found[b].size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(found[b][i].tokens, Tokens(expected[i].tokens.begin(), expected[i].tokens.end())) << b << " " << i;
      EXPECT_NEAR(found[b][i].score, expected[i].score, 1024 * support::tolerance::epsilon<double>) << b << " " << i;
    }
  }
  if (beams == 1) {
    const auto greedy = ef::greedy_search(model, ef::Prompts(prompts), options, context);
    for (std::size_t b = 0; b < 3; ++b) EXPECT_EQ(found[b][0].tokens, greedy[b]) << b;
  }
}

TEST(BeamSearch, goes_on_from_prompts_with_a_decoder) {
  for (const Index beams : {1, 2, 5}) {
    expect_the_search_of_the_formula<ef::LlamaDecoder<double>>(beams);
    expect_the_search_of_the_formula<ef::Gpt3Decoder<double>>(beams);
  }
}

/// Beams that change rows: scores of what was kept are those of one forward of the whole sequence.
TEST(BeamSearch, keeps_caches_and_sequences_together) {
  const ef::Transformer<double> model = search::small_transformer<double>(23);
  const Tokens source = {3, 11, 2, 17};
  const ef::SearchOptions options = {.start = 2, .end = 0, .max_length = 12, .beams = 7};
  ef::Context context;
  const auto found = ef::beam_search(model, ef::Source(source), options, context)[0];
  EXPECT_EQ(found.size(), 7U);
  for (const ef::Hypothesis& h : found) {
    Tokens prefix = {options.start};
    prefix.insert(prefix.end(), h.tokens.begin(), h.tokens.end() - 1);
    ef::Matrix<double> logits(static_cast<Index>(prefix.size()), 23);
    model.forward(prefix, logits, source, context);
    double sum = 0;
    for (Index i = 0; i < logits.rows(); ++i) {
      const std::vector<double> row(logits.row(i).data(), logits.row(i).data() + 23);
      sum += log_softmax(row)[static_cast<std::size_t>(h.tokens[static_cast<std::size_t>(i)])];
    }
    EXPECT_NEAR(h.log_probability, sum, 1024 * support::tolerance::epsilon<double>);
    EXPECT_DOUBLE_EQ(h.score, h.log_probability / ef::length_penalty(logits.rows(), 0.6));
  }
}

TEST(BeamSearch, rejects_options_and_logits_of_nothing_finite) {
  ef::Context context;
  const auto model_of = [](double logit) -> search::TableModel {
    return {3, [=](Index, const search::Prefix&) { return std::vector<double>(3, logit); }};
  };
  const search::TableModel model = model_of(1);
  EXPECT_THROW(ef::beam_search(model, Index(1), {.max_length = 0}, context), ef::OptionError);
  EXPECT_THROW(ef::beam_search(model, Index(1), {.max_length = 1, .beams = 0}, context), ef::OptionError);
  EXPECT_THROW(ef::beam_search(model, Index(1), {.start = 3, .max_length = 1}, context), ef::ValueError);
  for (const double logit : {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::infinity()}) {
    EXPECT_THROW(ef::beam_search(model_of(logit), Index(1), {.max_length = 1}, context), ef::ValueError) << logit;
  }
}

}  // namespace
