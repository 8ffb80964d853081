// SPDX-License-Identifier: MIT
#include <eigenformer/attention/attention_backward.hpp>

#include "attention/attention_case.hpp"
#include "reference/central_difference.hpp"
#include "support/allocation.hpp"
#include "support/golden.hpp"

namespace attention_test {

template <class T>
class AttentionBackward : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(AttentionBackward, Scalars);

/// A quarter of the table, which still meets every mask, pair of heads, dims, lengths and cut.
TYPED_TEST(AttentionBackward, equals_reference_across_the_table) {
  const std::vector<Case> cases = table();
  row_count = {};
  int count = 0;
  for (std::size_t i = 0; i < cases.size(); i += 4, ++count) expect_backward<TypeParam>(cases[i]);
  EXPECT_EQ(count, 420);
  EXPECT_GE(row_count.share(), 0.35) << row_count.judged << " of " << row_count.all;
}

TYPED_TEST(AttentionBackward, equals_reference_for_every_length_up_to_two_tiles_and_one) {
  int count = 0;
  for (Index t = 1; t <= 2 * ef::kernels::attention_key_tile + 1; ++t, ++count) {
    expect_backward<TypeParam>({.queries = 11, .keys = t, .key_dim = 5, .value_dim = 3, .mask = Masked::causal});
  }
  for (Index s = 1; s <= 2 * ef::kernels::attention_gradient_tile + 1; ++s, ++count) {
    expect_backward<TypeParam>(
        {.queries = s, .keys = 13, .key_dim = 3, .value_dim = 5, .mask = Masked::causal_top_left});
  }
  EXPECT_EQ(count, 129 + 385);
}

TYPED_TEST(AttentionBackward, equals_reference_for_every_head_dim_up_to_130) {
  int count = 0;
  for (Index d = 1; d <= 130; ++d, ++count) {
    expect_backward<TypeParam>({.queries = 11, .keys = 7, .key_dim = d, .value_dim = 131 - d});
  }
  EXPECT_EQ(count, 130);
}

TYPED_TEST(AttentionBackward, rows_that_see_no_key_have_no_gradient) {
  using T = TypeParam;
  for_each_instruction_set([&](ef::Context& context) {
    Call<T> call({.queries = 37, .keys = 3, .heads = 2, .key_dim = 5, .value_dim = 7, .mask = Masked::causal});
    call.forward(context);
    call.backward(context);
    const std::vector<T> dquery = call.dquery.values();
    for (Index i = 0; i < 34 * 2 * 5; ++i) ASSERT_EQ(dquery[static_cast<std::size_t>(i)], T(0));
    Call<T> empty({.batch = 2, .queries = 3, .keys = 0, .heads = 2, .key_dim = 5, .value_dim = 7});
    empty.forward(context);
    empty.backward(context);
    for (const T x : empty.dquery.values()) ASSERT_EQ(x, T(0));
  });
}

TYPED_TEST(AttentionBackward, poison_behind_the_mask_changes_no_bit) {
  using T = TypeParam;
  int count = 0;
  for_each_instruction_set([&](ef::Context& context) {
    for (const Masked mask : {Masked::causal_top_left, Masked::padding}) {
      for (const Index s : {3, 41, 101}) {
        const Case c{.batch = 1,
                     .queries = s,
                     .keys = 131,
                     .heads = 4,
                     .kv_heads = 2,
                     .key_dim = 19,
                     .value_dim = 13,
                     .mask = mask};
        SCOPED_TRACE(testing::Message() << c << " " << ef::name(context.instruction_set()));
        Call<T> clean(c);
        clean.forward(context);
        clean.backward(context);
        const Index first = mask == Masked::padding ? c.lengths()[0] : s;
        for (const T poison : support::poisons<T>()) {
          Call<T> call(c);
          for (Index t = first; t < c.keys; ++t) {
            for (Index i = 0; i < 2 * c.key_dim; ++i) call.key.cells(t, i) = poison;
            for (Index i = 0; i < 2 * c.value_dim; ++i) call.value.cells(t, i) = poison;
          }
          call.forward(context);
          call.backward(context);
          ASSERT_TRUE(support::bit_equal(call.dquery.values(), clean.dquery.values()));
          ASSERT_TRUE(support::bit_equal(call.dkey.values(), clean.dkey.values()));
          ASSERT_TRUE(support::bit_equal(call.dvalue.values(), clean.dvalue.values()));
          ++count;
        }
      }
    }
  });
  EXPECT_EQ(count % 24, 0);
}

/// A poisoned key that later queries see spoils their gradients, not those of queries before it.
TYPED_TEST(AttentionBackward, poison_ahead_does_not_reach_queries_before_it) {
  using T = TypeParam;
  for_each_instruction_set([&](ef::Context& context) {
    const Case c{
        .queries = 101, .keys = 101, .heads = 2, .kv_heads = 2, .key_dim = 19, .value_dim = 13, .mask = Masked::causal};
    Call<T> clean(c);
    clean.forward(context);
    clean.backward(context);
    const std::vector<T> expected = clean.dquery.values();
    for (const T poison : support::poisons<T>()) {
      for (const Index key : {1, 17, 63, 64, 100}) {
        Call<T> call(c);
        for (Index i = 0; i < 2 * 19; ++i) call.key.cells(key, i) = poison;
        for (Index i = 0; i < 2 * 13; ++i) call.value.cells(key, i) = poison;
        call.forward(context);
        call.backward(context);
        const std::vector<T> actual = call.dquery.values();
        ASSERT_TRUE(support::bit_equal(std::vector<T>(actual.begin(), actual.begin() + key * 2 * 19),
                                       std::vector<T>(expected.begin(), expected.begin() + key * 2 * 19)));
      }
    }
  });
}

TYPED_TEST(AttentionBackward, same_bits_for_any_thread_count_and_alignment) {
  using T = TypeParam;
  for (Case c :
       {Case{.batch = 2,
       .queries = 131,
       .keys = 131,
       .heads = 4,
       .kv_heads = 1,
       .key_dim = 33,
       .value_dim = 32,
       .mask = Masked::causal},
        Case{.batch = 4, .queries = 61, .keys = 67, .heads = 8, .kv_heads = 2, .key_dim = 16, .value_dim = 23}}) {
    for_each_instruction_set([&](ef::Context& one) {
      Call<T> call(c);
      call.forward(one);
      call.backward(one);
      for (Index offset = 0; offset < support::alignment_offsets; ++offset) {
        const int threads = 1 + static_cast<int>(offset % 3);
        ef::Context context({.threads = threads, .instruction_set = one.instruction_set()});
        Case moved = c;
        moved.offset = offset;
        moved.gap = offset % 3;
        Call<T> other(moved);
        other.forward(context);
        other.backward(context);
        ASSERT_TRUE(support::bit_equal(other.dquery.values(), call.dquery.values())) << threads << " " << offset;
        ASSERT_TRUE(support::bit_equal(other.dkey.values(), call.dkey.values())) << threads << " " << offset;
        ASSERT_TRUE(support::bit_equal(other.dvalue.values(), call.dvalue.values())) << threads << " " << offset;
      }
    });
  }
}

TYPED_TEST(AttentionBackward, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    Call<TypeParam> call({.queries = 131, .keys = 131, .heads = 8, .kv_heads = 2, .key_dim = 64, .value_dim = 64});
    const auto segments = call.segments();
    const auto gradients = call.gradients();
    call.forward(context);
    const auto run = [&] {
      ef::attention_backward<TypeParam>({call.query.view(), segments},
                                        {call.y.view(), call.dy.view(), call.log_sum_exp.data()},
                                        {call.dquery.view(), gradients}, ef::Causal{}, {}, context);
    };
    run();
    EXPECT_EQ(support::allocations_during(run), 0U) << threads << " threads";
  }
}

/// Scratch memory grows with the length, not with its square.
TEST(AttentionBackwardMemory, is_linear_in_length) {
  const auto bytes = [](Index length) {
    ef::Context context;
    Call<float> call({.queries = length,
                      .keys = length,
                      .heads = 2,
                      .kv_heads = 1,
                      .key_dim = 8,
                      .value_dim = 8,
                      .mask = Masked::causal});
    call.forward(context);
    call.backward(context);
    return static_cast<double>(context.scratch().capacity());
  };
  EXPECT_LT(bytes(4096), 4.5 * bytes(1024));
}

/// The gradients are those of sum(dy . y), by central differences in double.
TEST(AttentionBackwardDifferences, match_the_gradients) {
  for (const Masked mask : {Masked::none, Masked::causal, Masked::padding}) {
    for (const double softcap : {0.0, 1.3}) {
      const Case c{.batch = 2,
                   .queries = 3,
                   .keys = 5,
                   .heads = 4,
                   .kv_heads = 2,
                   .key_dim = 3,
                   .value_dim = 2,
                   .mask = mask,
                   .segments = {2},
                   .softcap = softcap};
      SCOPED_TRACE(testing::Message() << c);
      ef::Context context;
      Call<double> call(c);
      call.forward(context);
      call.backward(context);
      const auto loss = [&] {
        call.forward(context);
        double sum = 0;
        for (Index r = 0; r < call.y.cells.rows(); ++r) {
          for (Index i = 0; i < call.y.cells.cols(); ++i) sum += call.y.cells(r, i) * call.dy.cells(r, i);
        }
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

TEST(AttentionBackwardErrors, name_what_was_expected_and_write_nothing) {
  ef::Context context;
  const auto message_of = [&](auto change) -> std::string {
    Call<float> call({.batch = 2, .queries = 3, .keys = 5, .heads = 4, .kv_heads = 2, .key_dim = 6, .value_dim = 7});
    call.forward(context);
    ef::AttentionUpstream<float> upstream{call.y.view(), call.dy.view(), call.log_sum_exp.data()};
    std::vector<ef::KeyValueGradient<float>> segments(call.gradients().begin(), call.gradients().end());
    ef::HeadsView<float> dquery = call.dquery.view();
    change(upstream, segments, dquery);
    std::string message = "nothing thrown";
    try {
      ef::attention_backward<float>({call.query.view(), call.segments()}, upstream, {dquery, segments}, ef::NoMask{},
                                    {}, context);
    } catch (const ef::Error& error) {
      message = error.what();
    }
    for (const Heads<float>* tensor : {&call.dquery, &call.dkey, &call.dvalue}) {
      for (const float x : tensor->values()) EXPECT_TRUE(support::is_nan(static_cast<double>(x)));
    }
    return message;
  };
  using Upstream = ef::AttentionUpstream<float>;
  using Segments = std::vector<ef::KeyValueGradient<float>>;
  using Query = ef::HeadsView<float>;
  EXPECT_EQ(message_of([](Upstream& u, Segments&, Query&) { u.dy = u.dy.positions(0, 2); }),
            "attention_backward: expected dy of shape [2, 3, 4, 7], got [2, 2, 4, 7]");
  EXPECT_EQ(message_of([](Upstream& u, Segments&, Query&) { u.log_sum_exp = nullptr; }),
            "attention_backward: expected the log_sum_exp of forward, got null");
  EXPECT_EQ(message_of([](Upstream&, Segments& s, Query&) { s.clear(); }),
            "attention_backward: expected gradients of 1 segments, got 0");
  EXPECT_EQ(message_of([](Upstream&, Segments& s, Query&) { s[0].keys = s[0].keys.positions(0, 1); }),
            "attention_backward: expected dkeys of shape [2, 5, 2, 6], got [2, 1, 2, 6]");
  EXPECT_EQ(message_of([](Upstream&, Segments&, Query& q) { q = q.positions(1, 1); }),
            "attention_backward: expected dquery of shape [2, 3, 4, 6], got [2, 1, 4, 6]");
}

template <class T>
ef::Tensor<T, 4> heads_last(const ef::Tensor<T, 4>& x) {
  return ef::Tensor<T, 4>(x.shuffle(std::array<int, 4>{0, 2, 1, 3}));
}

TEST(AttentionBackwardGolden, equals_published_gradients) {
  for (const char* name : {"attn_core_plain", "attn_core_causal_offset"}) {
    SCOPED_TRACE(name);
    const support::Golden golden(name);
    const auto of = [&](const char* tensor) { return heads_last(golden.tensor<double, 4>(tensor)); };
    const ef::Tensor<double, 4> q = of("q");
    const ef::Tensor<double, 4> k = of("k");
    const ef::Tensor<double, 4> v = of("v");
    const ef::Tensor<double, 4> dy = of("d_y");
    ef::Context context;
    ef::Tensor<double, 4> y(dy.dimensions());
    ef::Tensor<double, 4> dq(q.dimensions());
    ef::Tensor<double, 4> dk(k.dimensions());
    ef::Tensor<double, 4> dv(v.dimensions());
    std::vector<double> lse(static_cast<std::size_t>(q.dimension(0) * q.dimension(1) * q.dimension(2)));
    const ef::KeyValueSegment<double> segments[] = {{k, v}};
    const ef::KeyValueGradient<double> gradients[] = {{dk, dv}};
    const auto run = [&](const auto& mask) {
      ef::attention<double>({q, segments}, {y, lse.data()}, mask, {}, context);
      ef::attention_backward<double>({q, segments}, {y, dy, lse.data()}, {dq, gradients}, mask, {}, context);
    };
    golden.contains("allowed") ? run(ef::Causal{}) : run(ef::NoMask{});
    // The gradients are stored in float32.
    const double limit = support::tolerance::pytorch_rel<float>;
    EXPECT_TRUE(support::within(support::max_error(dq, of("grad.q")), limit));
    EXPECT_TRUE(support::within(support::max_error(dk, of("grad.k")), limit));
    EXPECT_TRUE(support::within(support::max_error(dv, of("grad.v")), limit));
  }
}

}  // namespace attention_test
