// SPDX-License-Identifier: MIT
#include <eigenformer/attention/paged_key_value_cache.hpp>

#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/position/rotary.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;
using Attention = ef::GroupedQueryAttention<float, ef::Linear<float>, ef::Rotary<>>;

ef::Tensor<float, 3> numbers(Index batch, Index length, Index dim, std::uint64_t seed) {
  support::Generator random(seed);
  ef::Tensor<float, 3> x(batch, length, dim);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(random.normal());
  return x;
}

/// Row b of the result is position at[b] of sequence b.
ef::Tensor<float, 3> tokens(const std::vector<ef::Tensor<float, 3>>& of, const std::vector<Index>& at) {
  ef::Tensor<float, 3> x(static_cast<Index>(of.size()), 1, of.front().dimension(2));
  for (std::size_t b = 0; b < of.size(); ++b) {
    for (Index d = 0; d < x.dimension(2); ++d) x(static_cast<Index>(b), 0, d) = of[b](0, at[b], d);
  }
  return x;
}

/// Sequences of different length decoded together: each as if it were alone, in pages of any length.
TEST(PagedKeyValueCache, sequences_decode_together_as_each_does_alone) {
  const Attention attention({.dim = 20, .heads = 4, .kv_heads = 2, .head_dim = 6}, ef::Random(1));
  const std::vector<Index> prompts = {67, 1, 130};
  std::vector<ef::Tensor<float, 3>> x;
  std::vector<ef::Tensor<float, 3>> alone;
  ef::Context context;
  for (std::size_t b = 0; b < 3; ++b) {
    x.push_back(numbers(1, prompts[b] + 9, 20, b));
    alone.emplace_back(x.back().dimensions());
    attention.forward(x.back(), alone.back(), ef::Causal{}, context);
  }
  for (const Index page : {1, 16, 64, 100}) {
    ef::PagedKeyValueCache<float> cache(
        {.sequences = 3, .pages = 300 / page + 6, .page_length = page, .kv_heads = 2, .head_dim = 6});
    std::vector<Index> sequences;
    for (std::size_t b = 0; b < 3; ++b) {
      sequences.push_back(cache.add());
      ef::Tensor<float, 3> prompt(1, prompts[b], 20), y(1, prompts[b], 20);
      std::copy_n(x[b].data(), prompt.size(), prompt.data());
      const Index one[] = {sequences.back()};
      attention.forward(prompt, y, ef::Causal{}, cache, one, context);
    }
    for (Index step = 0; step < 9; ++step) {
      const std::vector<Index> at = {prompts[0] + step, prompts[1] + step, prompts[2] + step};
      ef::Tensor<float, 3> y(3, 1, 20);
      attention.forward(tokens(x, at), y, ef::Causal{}, cache, sequences, context);
      ASSERT_TRUE(
          support::within(support::max_error(y, tokens(alone, at)), support::tolerance::attention_abs<float>(10, 3)))
          << page << " " << step;
    }
  }
}

/// A forked sequence shares pages until one of the two goes on; then each has its own end.
TEST(PagedKeyValueCache, forks_share_pages_and_part_where_they_differ) {
  const Attention attention({.dim = 20, .heads = 2, .kv_heads = 1, .head_dim = 10}, ef::Random(1));
  ef::PagedKeyValueCache<float> cache({.sequences = 3, .pages = 6, .page_length = 16, .kv_heads = 1, .head_dim = 10});
  const ef::Tensor<float, 3> prompt = numbers(1, 37, 20, 1);
  const ef::Tensor<float, 3> next = numbers(2, 1, 20, 2);
  ef::Context context;
  ef::Tensor<float, 3> y(1, 37, 20), two(2, 1, 20);
  const Index first = cache.add();
  const Index one[] = {first};
  attention.forward(prompt, y, ef::Causal{}, cache, one, context);
  EXPECT_EQ(cache.free_pages(), 3);
  const Index second = cache.fork(first);
  EXPECT_EQ(cache.free_pages(), 3);
  const Index both[] = {first, second};
  attention.forward(next, two, ef::Causal{}, cache, both, context);
  EXPECT_EQ(cache.free_pages(), 2);  // of the third page there are two now
  for (Index b = 0; b < 2; ++b) {
    ef::Tensor<float, 3> whole(1, 38, 20), expected(1, 38, 20);
    std::copy_n(prompt.data(), prompt.size(), whole.data());
    std::copy_n(next.data() + b * 20, 20, whole.data() + 37 * 20);
    attention.forward(whole, expected, ef::Causal{}, context);
    for (Index d = 0; d < 20; ++d) EXPECT_NEAR(two(b, 0, d), expected(0, 37, d), 1e-5);
  }
  cache.remove(first);
  EXPECT_EQ(cache.free_pages(), 3);  // two are the second's still
  cache.remove(second);
  EXPECT_EQ(cache.free_pages(), 6);
  EXPECT_THROW(cache.remove(second), ef::ValueError);
}

/// Three sequences share a page's beginning: two copy it, and the last has it for its own.
TEST(PagedKeyValueCache, the_last_to_part_from_a_shared_page_needs_no_other) {
  ef::PagedKeyValueCache<float> cache({.sequences = 4, .pages = 3, .page_length = 4, .kv_heads = 1, .head_dim = 2});
  ef::Tensor<float, 4> one(1, 1, 1, 2), three(3, 1, 1, 2);
  one.setZero();
  three.setZero();
  const Index a[] = {cache.add()};
  cache.append(a, one, one);
  const Index all[] = {a[0], cache.fork(a[0]), cache.fork(a[0])};
  EXPECT_NO_THROW(cache.require_room(all, 3));
  EXPECT_THROW(cache.require_room(all, 4), ef::ValueError);
  const Index fourth = cache.fork(a[0]);
  EXPECT_THROW(cache.require_room(all, 1), ef::ValueError) << "one more shares it, who does not go on";
  cache.remove(fourth);
  cache.append(all, three, three);
  EXPECT_EQ(cache.free_pages(), 0);
  for (const Index sequence : all) EXPECT_EQ(cache.length(sequence), 2);
}

TEST(PagedKeyValueCache, what_does_not_fit_changes_nothing) {
  ef::PagedKeyValueCache<float> cache({.sequences = 2, .pages = 2, .page_length = 4, .kv_heads = 1, .head_dim = 2});
  const Index a = cache.add();
  const Index b = cache.add();
  EXPECT_THROW(cache.add(), ef::ValueError);
  ef::Tensor<float, 4> five(2, 5, 1, 2), four(2, 4, 1, 2), wide(2, 1, 1, 3);
  five.setZero();
  four.setZero();
  const Index both[] = {a, b}, twice[] = {a, a}, unknown[] = {a, 7};
  EXPECT_THROW(cache.append(both, five, five), ef::ValueError);  // four pages
  EXPECT_THROW(cache.append(both, wide, wide), ef::ShapeError);
  EXPECT_THROW(cache.append(twice, four, four), ef::ValueError);
  EXPECT_THROW(cache.append(unknown, four, four), ef::ValueError);
  EXPECT_EQ(cache.length(a) + cache.length(b), 0);
  EXPECT_EQ(cache.free_pages(), 2);
  cache.append(both, four, four);
  EXPECT_EQ(cache.free_pages(), 0);
  const auto make = [](ef::PagedKeyValueCacheOptions options) { ef::PagedKeyValueCache<float>{options}; };
  EXPECT_THROW(make({.sequences = 0, .kv_heads = 1, .head_dim = 1}), ef::OptionError);
  EXPECT_THROW(make({.pages = -1, .kv_heads = 1, .head_dim = 1}), ef::OptionError);
  EXPECT_THROW(make({.page_length = 0, .kv_heads = 1, .head_dim = 1}), ef::OptionError);
  EXPECT_THROW(make({.kv_heads = 0, .head_dim = 1}), ef::OptionError);
}

/// Pages in use are those that sequences have, whatever was made, forked, grown and removed, in 2000 random steps.
TEST(PagedKeyValueCache, keeps_count_of_pages) {
  ef::PagedKeyValueCache<float> cache({.sequences = 5, .pages = 23, .page_length = 3, .kv_heads = 1, .head_dim = 1});
  support::Generator random(5);
  std::vector<std::pair<Index, std::vector<float>>> model;  // what each sequence holds
  float counter = 0;
  for (int step = 0; step < 2000; ++step) {
    const auto dice = static_cast<int>(std::abs(random.normal()) * 1000) % 10;
    const std::size_t which =
        model.empty() ? 0 : static_cast<std::size_t>(std::abs(random.normal()) * 1000) % model.size();
    if (dice < 2 && model.size() < 5) {
      model.push_back({cache.add(), {}});
    } else if (dice < 4 && model.size() < 5 && !model.empty()) {
      model.push_back({cache.fork(model[which].first), model[which].second});
    } else if (dice < 5 && !model.empty()) {
      cache.remove(model[which].first);
      model.erase(model.begin() + static_cast<std::ptrdiff_t>(which));
    } else if (!model.empty()) {
      ef::Tensor<float, 4> token(1, 1, 1, 1);
      token(0, 0, 0, 0) = ++counter;
      const Index one[] = {model[which].first};
      try {
        cache.append(one, token, token);
        model[which].second.push_back(counter);
      } catch (const ef::ValueError&) {
        EXPECT_EQ(cache.free_pages(), 0);
      }
    }
    for (const auto& [sequence, expected] : model) {
      const Index one[] = {sequence};
      const ef::PagedSelection<float>& there = cache.select(one);
      std::vector<float> actual;
      for (const auto& segment : there.segments) {
        for (Index i = 0; i < segment.keys.length(); ++i) actual.push_back(*segment.keys.template at<float>(0, i, 0));
      }
      ASSERT_EQ(actual, expected);
    }
  }
  for (const auto& [sequence, unused] : model) cache.remove(sequence);
  EXPECT_EQ(cache.free_pages(), 23);
}

}  // namespace
