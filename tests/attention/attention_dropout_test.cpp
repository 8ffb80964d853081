// SPDX-License-Identifier: MIT
// Dropout of attention's weights: the last step, after the softmax and its sinks.
#include "attention/attention_case.hpp"
#include "support/allocation.hpp"

namespace attention_test {
namespace {

template <class T>
class AttentionDropout : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(AttentionDropout, Scalars);

Case case_of(Masked mask, Index queries, Index keys) {
  Case c{.batch = 2, .queries = queries, .keys = keys, .heads = 6, .kv_heads = 2, .key_dim = 17, .value_dim = 13};
  c.mask = mask;
  c.segments = {keys / 3};
  c.dropout = 0.3;
  c.salt = static_cast<std::uint64_t>(7 * queries + keys);
  return c;
}

/// Tiles, whole and cut; few queries; context in several parts; live keys in runs and as bits.
TYPED_TEST(AttentionDropout, equals_reference_on_every_path) {
  for (const Masked mask : {Masked::none, Masked::causal, Masked::padding, Masked::window, Masked::table}) {
    for (const Index queries : {1, 2, 7, 67}) {
      for (const Index keys : {5, 71, 131, 601}) {
        for (const Biased bias : {Biased::none, Biased::by_distance, Biased::dense}) {
          Case c = case_of(mask, queries, keys);
          c.bias = bias;
          c.softcap = keys % 2 == 0 ? 0 : 1.7;
          expect_forward<TypeParam>(c, 0.2);
          if (keys < 600) expect_backward<TypeParam>(c);
        }
      }
    }
  }
}

TYPED_TEST(AttentionDropout, equals_reference_at_every_rate) {
  for (const double rate : {1e-3, 0.1, 0.5, 0.9}) {
    Case c = case_of(Masked::causal, 29, 67);
    c.dropout = rate;
    expect_forward<TypeParam>(c, 0.2);
    expect_backward<TypeParam>(c);
  }
}

/// With values that single out one key each, y is the row of weights itself.
template <class T>
std::vector<T> weights(Case c, ef::Context& context) {
  c.value_dim = c.keys;
  Call<T> call(c);
  for (Index r = 0; r < c.batch * c.keys; ++r) {
    for (Index i = 0; i < c.kv_heads * c.keys; ++i) call.value.cells(r, i) = i % c.keys == r % c.keys ? T(1) : T(0);
  }
  call.forward(context);
  return call.y.values();
}

/// Whether the same weights are 0 in both.
template <class A, class B>
bool drop_alike(const std::vector<A>& a, const std::vector<B>& b) {
  bool alike = a.size() == b.size();
  for (std::size_t i = 0; alike && i < a.size(); ++i) alike = (a[i] == A(0)) == (b[i] == B(0));
  return alike;
}

TEST(AttentionDropoutMask, is_that_of_the_reference_for_every_instruction_set_and_precision) {
  for (const Index queries : {2, 37}) {
    Case c = case_of(Masked::none, queries, 83);
    const reference::AttentionOptions options = c.reference_options();
    std::vector<int> expected;
    for (Index b = 0; b < c.batch; ++b) {
      for (Index s = 0; s < c.queries; ++s) {
        for (Index h = 0; h < c.heads; ++h) {
          for (Index t = 0; t < c.keys; ++t) expected.push_back(options.dropout(b, h, s, t) > 0 ? 1 : 0);
        }
      }
    }
    for_each_instruction_set([&](ef::Context& context) {
      SCOPED_TRACE(ef::name(context.instruction_set()));
      EXPECT_TRUE(drop_alike(weights<float>(c, context), expected));
      EXPECT_TRUE(drop_alike(weights<double>(c, context), expected));
    });
  }
}

TEST(AttentionDropoutMask, does_not_depend_on_segments_or_on_how_many_queries_come_at_once) {
  ef::Context context;
  Case c = case_of(Masked::none, 37, 83);
  c.batch = 1;
  const std::vector<float> expected = weights<float>(c, context);
  c.segments = {11, 0, 40};
  EXPECT_TRUE(drop_alike(weights<float>(c, context), expected));
  // Of the first three queries alone, which go another way.
  Case few = c;
  few.queries = 2;
  few.kv_heads = few.heads;
  const std::vector<float> first = weights<float>(few, context);
  EXPECT_TRUE(drop_alike(first, std::vector<float>(expected.begin(), expected.begin() + std::ssize(first))));
}

TEST(AttentionDropoutMask, is_another_for_every_seed) {
  ef::Context context;
  Case c = case_of(Masked::none, 5, 83);
  const std::vector<float> one = weights<float>(c, context);
  ++c.salt;
  EXPECT_FALSE(drop_alike(weights<float>(c, context), one));
}

TYPED_TEST(AttentionDropout, same_bits_for_any_thread_count_and_alignment) {
  for (const Index queries : {2, 131}) {
    Case c = case_of(Masked::causal, queries, 701);
    for_each_instruction_set([&](ef::Context& one) {
      Call<TypeParam> call(c);
      call.forward(one);
      call.backward(one);
      for (const int threads : {2, 3}) {
        ef::Context context({.threads = threads, .instruction_set = one.instruction_set()});
        Case moved = c;
        moved.offset = threads;
        Call<TypeParam> other(moved);
        other.forward(context);
        other.backward(context);
        ASSERT_TRUE(support::bit_equal(other.y.values(), call.y.values()));
        ASSERT_TRUE(support::bit_equal(other.dquery.values(), call.dquery.values()));
        ASSERT_TRUE(support::bit_equal(other.dkey.values(), call.dkey.values()));
        ASSERT_TRUE(support::bit_equal(other.dvalue.values(), call.dvalue.values()));
      }
    });
  }
}

TYPED_TEST(AttentionDropout, of_rate_0_changes_no_bit) {
  for (const Index queries : {2, 67}) {
    Case c = case_of(Masked::causal, queries, 601);
    c.dropout = 0;
    for_each_instruction_set([&](ef::Context& context) {
      Call<TypeParam> plain(c), call(c);
      plain.forward(context);
      plain.backward(context);
      const ef::AttentionOptions options{.dropout = {.rate = 0, .seed = 99}};
      ef::attention<TypeParam>({call.query.view(), call.segments()}, {call.y.view(), call.log_sum_exp.data()},
                               ef::Causal{}, options, context);
      ef::attention_backward<TypeParam>({call.query.view(), call.segments()},
                                        {call.y.view(), call.dy.view(), call.log_sum_exp.data()},
                                        {call.dquery.view(), call.gradients()}, ef::Causal{}, options, context);
      EXPECT_TRUE(support::bit_equal(call.y.values(), plain.y.values()));
      EXPECT_TRUE(support::bit_equal(call.dquery.values(), plain.dquery.values()));
      EXPECT_TRUE(support::bit_equal(call.dkey.values(), plain.dkey.values()));
      EXPECT_TRUE(support::bit_equal(call.dvalue.values(), plain.dvalue.values()));
    });
  }
}

/// The log-sum-exp is that of all keys, dropped or not.
TYPED_TEST(AttentionDropout, leaves_the_log_sum_exp_alone) {
  for (const Index queries : {2, 67}) {
    Case c = case_of(Masked::causal, queries, 601);
    ef::Context context;
    Call<TypeParam> dropped(c);
    dropped.forward(context);
    c.dropout = 0;
    Call<TypeParam> plain(c);
    plain.forward(context);
    for (Index i = 0; i < plain.log_sum_exp.size(); ++i) {
      ASSERT_EQ(dropped.log_sum_exp.data()[i], plain.log_sum_exp.data()[i]);
    }
  }
}

/// The mean over seeds is what there is without dropout, within five standard errors of each number.
TEST(AttentionDropoutMean, over_seeds_is_attention_without_it) {
  constexpr int seeds = 2000;
  Case c = case_of(Masked::causal, 5, 23);
  ef::Context context;
  Call<double> plain(c);
  plain.c.dropout = 0;
  plain.forward(context);
  const std::vector<double> expected = plain.y.values();
  std::vector<double> sum(expected.size()), square(expected.size());
  Call<double> call(c);
  for (int seed = 0; seed < seeds; ++seed) {
    call.c.salt = static_cast<std::uint64_t>(seed);
    call.forward(context);
    const std::vector<double> y = call.y.values();
    for (std::size_t i = 0; i < y.size(); ++i) {
      sum[i] += y[i];
      square[i] += y[i] * y[i];
    }
  }
  for (std::size_t i = 0; i < sum.size(); ++i) {
    const double mean = sum[i] / seeds;
    const double error = std::sqrt((square[i] / seeds - mean * mean) / seeds);
    EXPECT_NEAR(mean, expected[i], 5 * error);
    EXPECT_GT(error, 0);
  }
}

/// Sinks take part in the softmax, and are never dropped, as they have no value.
TYPED_TEST(AttentionDropout, comes_after_the_sinks) {
  using T = TypeParam;
  for (const Index queries : {1, 37}) {
    Case c = case_of(Masked::causal, queries, 53);
    reference::AttentionOptions options = c.reference_options();
    options.sinks = {-1.5, 0.25, 3, 2, 0, -0.75};
    const std::vector<T> sinks(options.sinks.begin(), options.sinks.end());
    const Call<T> inputs(c);
    const auto q = inputs.query.template widened<Judge<T>>(), k = inputs.key.template widened<Judge<T>>(),
               v = inputs.value.template widened<Judge<T>>(), dy = inputs.dy.template widened<Judge<T>>();
    const auto expected = reference::attention(q, k, v, options);
    const auto gradients = reference::attention_backward(q, k, v, dy, options);
    const double limit = support::tolerance::attention_abs<T>(static_cast<double>(expected.largest_logit),
                                                              static_cast<double>(expected.largest_value));
    const double size = longest(inputs.dy.widened()) / (1 - c.dropout);
    for_each_instruction_set([&](ef::Context& context) {
      SCOPED_TRACE(testing::Message() << c << " " << ef::name(context.instruction_set()));
      Call<T> call(c);
      std::vector<T> dsinks(6);
      ef::attention<T>({call.query.view(), call.segments(), {}, sinks}, {call.y.view(), call.log_sum_exp.data()},
                       ef::Causal{}, call.options(), context);
      ef::attention_backward<T>(
          {call.query.view(), call.segments(), {}, sinks}, {call.y.view(), call.dy.view(), call.log_sum_exp.data()},
          {call.dquery.view(), call.gradients(), nullptr, dsinks.data()}, ef::Causal{}, call.options(), context);
      EXPECT_TRUE(support::within(support::max_error(call.y.values(), expected.out), limit));
      const double logit = static_cast<double>(expected.largest_logit);
      expect_gradient<T>("dvalue", call.dvalue.values(), gradients.dv, logit, size);
      expect_gradient<T>("dquery", call.dquery.values(), gradients.dq, logit,
                         size * longest(inputs.value.widened()) * longest(inputs.key.widened()));
      const double terms = static_cast<double>(c.batch * c.queries);
      EXPECT_TRUE(support::within(
          support::max_error(dsinks, gradients.dsinks),
          std::sqrt(terms) * support::tolerance::attention_abs<T>(logit, size * longest(inputs.value.widened()))));
    });
  }
}

/// The gradients are those of sum(dy . y) under one seed, by central differences in double.
TEST(AttentionDropoutDifferences, match_the_gradients) {
  for (const Masked mask : {Masked::none, Masked::causal, Masked::strided}) {
    for (const double softcap : {0.0, 1.3}) {
      Case c = case_of(mask, 5, 11);
      c.softcap = softcap;
      SCOPED_TRACE(testing::Message() << c);
      ef::Context context;
      Call<double> call(c);
      call.forward(context);
      call.backward(context);
      const auto loss = [&] {
        call.forward(context);
        const std::vector<double> y = call.y.values(), dy = call.dy.values();
        double sum = 0;
        for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
        return sum;
      };
      const auto check = [&](Heads<double>& input, Heads<double>& gradient) {
        for (Index r = 0; r < input.cells.rows(); ++r) {
          for (Index i = 0; i < input.cells.cols(); ++i) {
            const double kept = input.cells(r, i);
            input.cells(r, i) = kept + support::tolerance::difference_step;
            const double above = loss();
            input.cells(r, i) = kept - support::tolerance::difference_step;
            const double below = loss();
            input.cells(r, i) = kept;
            const double difference = (above - below) / (2 * support::tolerance::difference_step);
            EXPECT_NEAR(gradient.cells(r, i), difference,
                        support::tolerance::difference_abs + support::tolerance::difference_rel * std::abs(difference));
          }
        }
      };
      check(call.query, call.dquery);
      check(call.key, call.dkey);
      check(call.value, call.dvalue);
    }
  }
}

TYPED_TEST(AttentionDropout, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  for (const Index queries : {2, 67}) {
    ef::Context context({.threads = 2});
    Call<TypeParam> call(case_of(Masked::causal, queries, 131));
    const auto segments = call.segments();
    const auto gradients = call.gradients();
    const auto run = [&] {
      ef::attention<TypeParam>({call.query.view(), segments}, {call.y.view(), call.log_sum_exp.data()}, ef::Causal{},
                               call.options(), context);
      ef::attention_backward<TypeParam>({call.query.view(), segments},
                                        {call.y.view(), call.dy.view(), call.log_sum_exp.data()},
                                        {call.dquery.view(), gradients}, ef::Causal{}, call.options(), context);
    };
    run();
    EXPECT_EQ(support::allocations_during(run), 0U);
  }
}

TEST(AttentionDropoutErrors, name_the_rate_and_write_nothing) {
  ef::Context context;
  for (const double rate : {-0.1, 1.0, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    if (rate != rate && !keeps_bits(ef::InstructionSet::portable)) continue;  // -ffast-math knows no NaN
    Case c = case_of(Masked::causal, 5, 7);
    Call<float> call(c);
    call.c.dropout = rate;
    EXPECT_THROW(call.forward(context), ef::OptionError) << rate;
    EXPECT_THROW(call.backward(context), ef::OptionError) << rate;
    for (const float y : call.y.values()) EXPECT_TRUE(support::is_nan(static_cast<double>(y)));
  }
  Call<float> call(case_of(Masked::causal, 5, 7));
  call.c.dropout = 1;
  try {
    call.forward(context);
    ADD_FAILURE() << "expected OptionError";
  } catch (const ef::OptionError& error) {
    EXPECT_STREQ(error.what(), "attention: expected dropout of at least 0 and below 1, got 1");
  }
}

}  // namespace
}  // namespace attention_test
