// SPDX-License-Identifier: MIT
// Keys and values stored as Int8: attention against the double reference on the numbers that the codes stand for, and
// what these are off by against caches of float.
#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/attention/paged_key_value_cache.hpp>
#include <eigenformer/attention/ragged.hpp>
#include <eigenformer/attention/rolling_key_value_cache.hpp>

#include "attention/attention_case.hpp"
#include "support/allocation.hpp"

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/position/rotary.hpp>

namespace attention_test {
namespace {

template <class T>
class QuantizedKeysAndValues : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(QuantizedKeysAndValues, Scalars);

TYPED_TEST(QuantizedKeysAndValues, equal_reference_for_any_number_of_heads) {
  std::uint64_t salt = 0;
  for (const Index kv_heads : {1, 2, 3, 4, 7, 8, 16}) {
    for (const Index group : {1, 2, 3, 5, 8, 11}) {
      for (const Index s : {1, 2, 5, 61}) {
        if (kv_heads * group * s > 700) continue;
        Case c{
            .queries = s, .keys = 71, .heads = kv_heads * group, .kv_heads = kv_heads, .key_dim = 19, .value_dim = 37};
        c.mask = salt % 2 == 0 ? Masked::causal : Masked::none;
        if (salt % 3 == 0) c.segments = {13};
        c.quantized = salt % 3 == 0 ? 1 + static_cast<Index>(salt % 2) : 1;
        c.softcap = salt % 5 == 0 ? 1.7 : 0;
        c.gap = static_cast<Index>(salt % 3);
        c.salt = salt++;
        expect_forward<TypeParam>(c);
      }
    }
  }
}

/// Lengths around the tiles of both ways through attention.
TYPED_TEST(QuantizedKeysAndValues, equal_reference_for_every_length) {
  constexpr Index tile = ef::kernels::attention_key_tile, long_tile = ef::kernels::attention_decode_tile;
  std::vector<Index> lengths = {2 * tile - 1, 2 * tile, 2 * tile + 1, long_tile - 1, long_tile, long_tile + 1};
  lengths.insert(lengths.end(), {2 * long_tile - 1, 2 * long_tile + 3});
  for (Index t = 1; t <= tile + 2; ++t) lengths.push_back(t);
  for (const Index t : lengths) {
    for (const Index s : {Index(1), Index(2), Index(17), t % 67 + 1}) {
      Case c{.queries = s, .keys = t, .heads = 4, .kv_heads = 2, .key_dim = 17, .value_dim = 13};
      c.mask = t % 3 == 0 || s > t ? Masked::none : Masked::causal;
      c.quantized = 1;
      c.salt = static_cast<std::uint64_t>(67 * t + s);
      expect_forward<TypeParam>(c);
    }
  }
}

/// The same numbers widened, and gradients of them.
TYPED_TEST(QuantizedKeysAndValues, have_gradients_of_the_reference) {
  for (const Index quantized : {1, 2}) {
    Case c{.batch = 2, .queries = 67, .keys = 83, .heads = 4, .kv_heads = 2, .key_dim = 17, .value_dim = 13};
    c.segments = {31};
    c.quantized = quantized;
    c.mask = Masked::causal;
    expect_backward<TypeParam>(c);
  }
}

/// Heads that differ by many orders of magnitude, zeros, and one number far above its head's others.
template <class T>
void scale_heads(Heads<T>& x) {
  const auto rows = x.shape[0] * x.shape[1];
  for (Index r = 0; r < rows; ++r) {
    for (Index h = 0; h < x.shape[2]; ++h) {
      T* const head = &x.cells(r, h * x.shape[3]);
      for (Index e = 0; e < x.shape[3]; ++e) {
        if (h == 1) head[e] *= T(1e-30);
        if (h == 2) head[e] = 0;
        if (h == 3 && e == r % x.shape[3]) head[e] = 1000;
        if (h == 4 && r % 2 == 0) head[e] = 0;
      }
    }
  }
}

TYPED_TEST(QuantizedKeysAndValues, of_any_magnitude_equal_those_of_the_widened_ones) {
  using T = TypeParam;
  for (const Index s : {1, 2, 61}) {
    const Case c{.queries = s, .keys = 131, .heads = 5, .kv_heads = 5, .key_dim = 19, .value_dim = 37};
    for_each_instruction_set([&](ef::Context& context) {
      SCOPED_TRACE(testing::Message() << c << " " << ef::name(context.instruction_set()));
      Call<T> call(c);
      scale_heads(call.key);
      scale_heads(call.value);
      for (Index r = 0; r < 131; ++r) {
        for (Index e = 0; e < 37; ++e) call.value.cells(r, e) *= T(1e30);  // of the first head
      }
      QuantizedHeads<T> keys(call.key, 131), values(call.value, 131);
      const auto expected =
          reference::attention(call.query.template widened<Judge<T>>(), call.key.template widened<Judge<T>>(),
                               call.value.template widened<Judge<T>>(), c.reference_options());
      const ef::KeyValueSegment<T> segments[] = {{keys.view(), values.view()}};
      ef::attention<T>({call.query.view(), segments}, {call.y.view(), call.log_sum_exp.data()}, ef::NoMask{}, {},
                       context);
      const double logit = static_cast<double>(expected.largest_logit);
      const std::vector<T> y = call.y.values();
      for (Index h = 0; h < 5; ++h) {  // each by its own largest value
        double largest = 0;
        for (Index r = 0; r < 131; ++r) {
          for (Index e = 0; e < 37; ++e) {
            largest = (std::max)(largest, std::abs(static_cast<double>(call.value.cells(r, h * 37 + e))));
          }
        }
        for (Index q = 0; q < s; ++q) {
          for (Index e = 0; e < 37; ++e) {
            const double actual = static_cast<double>(y[static_cast<std::size_t>((q * 5 + h) * 37 + e)]);
            const double exact = static_cast<double>(expected.out(0, q, h, e));
            ASSERT_LE(std::abs(actual - exact), support::tolerance::attention_abs<T>(logit, largest)) << h;
          }
        }
      }
    });
  }
}

/// What is not finite reaches those queries that see it, whole heads at a time, and no other.
TYPED_TEST(QuantizedKeysAndValues, poison_reaches_those_who_see_it_alone) {
  using T = TypeParam;
  for (const Index s : {2, 61}) {
    Case c{.queries = s, .keys = 71, .heads = 6, .kv_heads = 3, .key_dim = 5, .value_dim = 7};
    c.mask = Masked::causal;
    c.quantized = 1;
    for (const bool in_key : {true, false}) {
      for_each_instruction_set([&](ef::Context& context) {
        Call<T> clean(c), call(c);
        clean.forward(context);
        Heads<T>& poisoned = in_key ? call.key : call.value;
        poisoned.cells(70, poisoned.shape[3] + 2) = std::numeric_limits<T>::infinity();  // of the second head
        call.forward(context);
        const std::vector<T> expected = clean.y.values(), actual = call.y.values();
        for (Index q = 0; q < s; ++q) {
          for (Index i = 0; i < 6 * 7; ++i) {
            const auto at = static_cast<std::size_t>(q * 6 * 7 + i);
            const bool sees = q == s - 1 && (i / 7 == 2 || i / 7 == 3);
            if (sees) {
              ASSERT_FALSE(support::is_finite(static_cast<double>(actual[at]))) << q << " " << i;
            } else {
              ASSERT_EQ(actual[at], expected[at]) << q << " " << i;
            }
          }
        }
      });
    }
  }
}

/// The numbers of a segment's keys or values.
template <class T>
std::vector<T> numbers_of(const ef::StoredHeadsView<T>& x) {
  std::vector<T> result;
  for (Index b = 0; b < x.batch(); ++b) {
    for (Index l = 0; l < x.length(); ++l) {
      for (Index h = 0; h < x.heads(); ++h) {
        for (Index e = 0; e < x.head_dim(); ++e) {
          if (x.storage() == ef::StoredAs::int8) {
            result.push_back(ef::widened(x.template at<ef::Int8>(b, l, h)[e], *x.scales().at(b, l, h)));
          } else {
            result.push_back(x.template at<T>(b, l, h)[e]);
          }
        }
      }
    }
  }
  return result;
}

constexpr Index kv_heads = 3, key_dim = 17, value_dim = 11;

ef::Tensor<float, 4> normal(Index batch, Index length, Index heads, Index dim, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<float, 4> x(batch, length, heads, dim);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

/// Attention over one sequence's segments against the double reference on the numbers that they hold.
void expect_attention_over(std::span<const ef::KeyValueSegment<float>> segments) {
  std::vector<float> keys, values;
  Index length = 0;
  for (const ef::KeyValueSegment<float>& segment : segments) {
    const std::vector<float> k = numbers_of(segment.keys), v = numbers_of(segment.values);
    keys.insert(keys.end(), k.begin(), k.end());
    values.insert(values.end(), v.begin(), v.end());
    length += segment.keys.length();
  }
  for (const Index s : {1, 5}) {
    const ef::Tensor<float, 4> query = normal(1, s, 2 * kv_heads, key_dim, 7);
    const auto expected = reference::attention(reference::widened(query.data(), {1, s, 2 * kv_heads, key_dim}),
                                               reference::widened(keys.data(), {1, length, kv_heads, key_dim}),
                                               reference::widened(values.data(), {1, length, kv_heads, value_dim}), {});
    for_each_instruction_set([&](ef::Context& context) {
      ef::Tensor<float, 4> y(1, s, 2 * kv_heads, value_dim);
      ef::attention<float>({query, segments}, {y, nullptr}, ef::NoMask{}, {}, context);
      EXPECT_TRUE(
          support::within(support::max_error(y, expected.out),
                          support::tolerance::attention_abs<float>(expected.largest_logit, expected.largest_value)));
    });
  }
}

/// Error statistics of what a cache of Int8 holds against one of float: the largest error of a head is half a step of its
/// largest magnitude / 127, and the mean square of all is that of errors that are uniform within their steps.
void expect_quantized(const std::vector<float>& actual, const std::vector<float>& exact, Index dim) {
  ASSERT_EQ(actual.size(), exact.size());
  double square = 0, expected = 0;
  for (std::size_t first = 0; first < exact.size(); first += static_cast<std::size_t>(dim)) {
    double largest = 0, worst = 0;
    for (std::size_t i = first; i < first + static_cast<std::size_t>(dim); ++i) {
      const double off = static_cast<double>(actual[i]) - static_cast<double>(exact[i]);
      largest = (std::max)(largest, std::abs(static_cast<double>(exact[i])));
      worst = (std::max)(worst, std::abs(off));
      square += off * off;
    }
    ASSERT_LE(worst, largest / 254 * (1 + 1e-4));
    expected += static_cast<double>(dim) * std::pow(largest / 127, 2) / 12;
  }
  EXPECT_LE(square, 2 * expected);  // of 33 numbers and more: six deviations of its mean
}

TEST(QuantizedCaches, hold_the_nearest_codes_of_what_was_appended) {
  ef::KeyValueCache<float> exact({2, 71, kv_heads, key_dim, value_dim});
  ef::KeyValueCache<float, ef::Int8> cache(exact.options());
  Index length = 0;
  for (const Index n : {5, 1, 61}) {
    const auto keys = normal(2, n, kv_heads, key_dim, static_cast<std::uint64_t>(n));
    const auto values = normal(2, n, kv_heads, value_dim, static_cast<std::uint64_t>(n) + 1);
    exact.append(keys, values);
    cache.append(keys, values);
    length += n;
    EXPECT_EQ(cache.length(), length);
    EXPECT_EQ(cache.segment().keys.storage(), ef::StoredAs::int8);
    expect_quantized(numbers_of(cache.segment().keys), numbers_of(exact.segment().keys), key_dim);
    expect_quantized(numbers_of(cache.segment().values), numbers_of(exact.segment().values), value_dim);
  }
}

TEST(QuantizedCaches, attend_copy_truncate_and_go_on_with_their_scales) {
  ef::KeyValueCache<float, ef::Int8> cache({2, 71, kv_heads, key_dim, value_dim});
  auto keys = normal(2, 67, kv_heads, key_dim, 1), values = normal(2, 67, kv_heads, value_dim, 2);
  keys = keys * keys.constant(3);  // scales unlike those of what comes later
  cache.append(keys, values);
  const auto one = [&](const ef::KeyValueSegment<float>& x, Index b) {
    std::vector<float> all = numbers_of(x.keys);
    const auto half = static_cast<std::ptrdiff_t>(all.size() / 2);
    return b == 0 ? std::vector<float>(all.begin(), all.begin() + half)
                  : std::vector<float>(all.begin() + half, all.end());
  };
  const std::vector<float> second = one(cache.segment(), 1);
  cache.copy_sequence(1, 0);
  EXPECT_EQ(one(cache.segment(), 0), second);
  cache.truncate(61);
  const ef::KeyValueCache<float, ef::Int8> copy = cache;
  cache.append(normal(2, 3, kv_heads, key_dim, 3), normal(2, 3, kv_heads, value_dim, 4));
  EXPECT_EQ(cache.length(), 64);
  const auto before = one(copy.segment(), 0), after = one(cache.segment(), 0);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin()));

  ef::KeyValueCache<float, ef::Int8> alone({1, 71, kv_heads, key_dim, value_dim});
  alone.append(normal(1, 67, kv_heads, key_dim, 1), normal(1, 67, kv_heads, value_dim, 2));
  expect_attention_over(alone.segments());
}

TEST(QuantizedCaches, roll_with_their_scales) {
  for (const Index chunk : {1, 5}) {
    const ef::RollingKeyValueCacheOptions options{1, 17, chunk, kv_heads, key_dim, value_dim};
    ef::RollingKeyValueCache<float> exact(options);
    ef::RollingKeyValueCache<float, ef::Int8> cache(options);
    for (Index done = 0; done < 67; done += chunk) {
      const auto keys = normal(1, chunk, kv_heads, key_dim, static_cast<std::uint64_t>(done));
      const auto values = normal(1, chunk, kv_heads, value_dim, static_cast<std::uint64_t>(done) + 1);
      exact.append(keys, values);
      cache.append(keys, values);
      for (std::size_t i = 0; i < 2; ++i) {
        expect_quantized(numbers_of(cache.segments()[i].keys), numbers_of(exact.segments()[i].keys), key_dim);
        expect_quantized(numbers_of(cache.segments()[i].values), numbers_of(exact.segments()[i].values), value_dim);
      }
    }
    expect_attention_over(cache.segments());
  }
}

/// Sequences in pages of several lengths, one forked from another within a page, and both going on. What each should hold
/// is kept apart, without pages.
TEST(QuantizedCaches, fork_and_own_pages_with_their_scales) {
  struct Held {
    std::vector<float> keys, values;
  };
  for (const Index page : {1, 7, 64}) {
    ef::PagedKeyValueCache<float, ef::Int8> cache({3, 3 * (131 / page + 2), page, kv_heads, key_dim, value_dim});
    std::vector<Held> held(3);
    std::uint64_t salt = 0;
    const auto append = [&](std::span<const Index> sequences, Index n) {
      const auto count = static_cast<Index>(sequences.size());
      const auto keys = normal(count, n, kv_heads, key_dim, ++salt);
      const auto values = normal(count, n, kv_heads, value_dim, ++salt);
      cache.append(sequences, keys, values);
      for (Index b = 0; b < count; ++b) {
        Held& to = held[static_cast<std::size_t>(sequences[static_cast<std::size_t>(b)])];
        to.keys.insert(to.keys.end(), &keys(b, 0, 0, 0), &keys(b, 0, 0, 0) + keys.size() / count);
        to.values.insert(to.values.end(), &values(b, 0, 0, 0), &values(b, 0, 0, 0) + values.size() / count);
      }
    };
    cache.add();
    cache.add();
    const Index all[] = {0, 1, 2}, first[] = {0}, two[] = {0, 2};
    append(first, 67);
    ASSERT_EQ(cache.fork(0), 2);
    held[2] = held[0];
    append(two, 1);
    append(all, 9);
    append(first, 40);
    const ef::PagedSelection<float>& there = cache.select(all);
    EXPECT_EQ(there.lengths, (std::vector<Index>{117, 9, 77}));
    for (Index b = 0; b < 3; ++b) {
      const auto segments = ef::segments_of<float>(there.segments, there.first_segment, b);
      Held actual;
      for (const ef::KeyValueSegment<float>& segment : segments) {
        const std::vector<float> k = numbers_of(segment.keys), v = numbers_of(segment.values);
        actual.keys.insert(actual.keys.end(), k.begin(), k.end());
        actual.values.insert(actual.values.end(), v.begin(), v.end());
      }
      expect_quantized(actual.keys, held[static_cast<std::size_t>(b)].keys, key_dim);
      expect_quantized(actual.values, held[static_cast<std::size_t>(b)].values, value_dim);
      expect_attention_over(segments);
    }
  }
}

/// A module generates from a cache of Int8 what it does from one of float but for what the codes are off by.
TEST(QuantizedCaches, serve_a_module_step_by_step) {
  using Attention = ef::GroupedQueryAttention<float, ef::Linear<float>, ef::Rotary<>>;
  const Attention attention({.dim = 24, .heads = 6, .kv_heads = 2, .head_dim = 10}, ef::Random(7));
  ef::Context context;
  auto exact = attention.key_value_cache(1, 71);
  auto cache = attention.key_value_cache<ef::Int8>(1, 71);
  ef::PagedKeyValueCache<float, ef::Int8> paged({1, 5, 16, 2, 10});
  const Index sequences[] = {paged.add()};
  double error = 0, square = 0;
  for (std::uint64_t step = 0; step < 71; ++step) {
    support::Generator random(step);
    ef::Tensor<float, 3> x(1, 1, 24), y(1, 1, 24), rounded(1, 1, 24), by_pages(1, 1, 24);
    support::fill(x, support::Distribution::normal, random);
    attention.forward(x, y, ef::Causal{}, exact, context);
    attention.forward(x, rounded, ef::Causal{}, cache, context);
    attention.forward(x, by_pages, ef::Causal{}, paged, sequences, context);
    EXPECT_TRUE(support::within(support::max_error(by_pages, rounded), 1e-6));
    for (Index d = 0; d < 24; ++d) {
      error += std::pow(static_cast<double>(rounded(0, 0, d) - y(0, 0, d)), 2);
      square += std::pow(static_cast<double>(y(0, 0, d)), 2);
    }
  }
  EXPECT_LE(error / square, 2e-4);
  EXPECT_GT(error / square, 1e-7) << "codes are off by something";
}

TEST(QuantizedCaches, allocate_nothing_after_they_are_made) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::KeyValueCache<float, ef::Int8> cache({1, 500, kv_heads, key_dim, value_dim});
  ef::PagedKeyValueCache<float, ef::Int8> paged({1, 40, 16, kv_heads, key_dim, value_dim});
  const Index sequences[] = {paged.add()};
  const auto keys = normal(1, 67, kv_heads, key_dim, 1), values = normal(1, 67, kv_heads, value_dim, 2);
  const auto query = normal(1, 1, kv_heads, key_dim, 3);
  ef::Tensor<float, 4> y(1, 1, kv_heads, value_dim);
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    const auto run = [&] {
      cache.append(keys, values);
      paged.append(sequences, keys, values);
      const auto segments = cache.segments();
      ef::attention<float>({query, segments}, {y, nullptr}, ef::Causal{}, {}, context);
    };
    run();
    EXPECT_EQ(support::allocations_during(run), 0U) << threads;
  }
}

TEST(QuantizedCaches, refuse_what_does_not_fit_and_stay_as_they_were) {
  ef::KeyValueCache<float, ef::Int8> cache({1, 5, kv_heads, key_dim, value_dim});
  const auto keys = normal(1, 3, kv_heads, key_dim, 1), values = normal(1, 3, kv_heads, value_dim, 2);
  cache.append(keys, values);
  const std::vector<float> before = numbers_of(cache.segment().keys);
  EXPECT_THROW(cache.append(keys, values), ef::ValueError);
  EXPECT_THROW(cache.append(values, values), ef::ShapeError);
  EXPECT_THROW(cache.truncate(4), ef::ValueError);
  EXPECT_EQ(cache.length(), 3);
  EXPECT_EQ(numbers_of(cache.segment().keys), before);
}

}  // namespace
}  // namespace attention_test
