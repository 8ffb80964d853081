// SPDX-License-Identifier: MIT
#include <eigenformer/attention/attention.hpp>

#include "attention/attention_case.hpp"
#include "support/allocation.hpp"
#include "support/golden.hpp"

namespace attention_test {

template <class T>
class Attention : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Attention, Scalars);

TYPED_TEST(Attention, equals_reference_for_every_combination) {
  const std::vector<Case> cases = table();
  row_count = {};
  for (const Case& c : cases) expect_forward<TypeParam>(c);
  EXPECT_EQ(cases.size(), 1680U);
  EXPECT_GE(row_count.share(), 0.7) << row_count.judged << " of " << row_count.all;
}

TYPED_TEST(Attention, equals_reference_for_every_length_up_to_two_tiles_and_one) {
  int count = 0;
  for (Index t = 1; t <= 2 * ef::kernels::attention_key_tile + 1; ++t, ++count) {
    expect_forward<TypeParam>({.queries = 11, .keys = t, .key_dim = 5, .value_dim = 3, .mask = Masked::causal});
    expect_forward<TypeParam>({.queries = 1, .keys = t, .heads = 3, .kv_heads = 1, .key_dim = 5, .value_dim = 7});
  }
  for (Index s = 1; s <= 2 * ef::kernels::attention_least_tile + 1; ++s, ++count) {
    expect_forward<TypeParam>(
        {.queries = s, .keys = 13, .key_dim = 3, .value_dim = 5, .mask = Masked::causal_top_left});
  }
  EXPECT_EQ(count, 129 + 193);
}

/// Enough heads that tasks take as many queries as fit the cache: fewer of wide heads.
TYPED_TEST(Attention, equals_reference_where_tasks_are_largest) {
  for (const Masked mask : {Masked::none, Masked::causal}) {
    for (const Index s : {337, 527}) {
      expect_forward<TypeParam>({.queries = s, .keys = 197, .heads = 13, .kv_heads = 13, .key_dim = 3, .mask = mask});
    }
    expect_forward<TypeParam>(
        {.queries = 131, .keys = 83, .heads = 13, .kv_heads = 13, .key_dim = 257, .value_dim = 263, .mask = mask});
  }
}

/// Scores that grow from key to key by less and by more than what the subtracted maximum may lag behind, and so much
/// that weights made with that one would overflow; each query has a rate of its own.
TYPED_TEST(Attention, equals_reference_where_scores_grow_along_the_keys) {
  using T = TypeParam;
  for_each_instruction_set([&](ef::Context& context) {
    for (const double rate : {0.003, 0.1, 0.5, 3.0}) {
      for (const Masked mask : {Masked::none, Masked::causal}) {
        const Case c{.queries = 307, .keys = 307, .key_dim = 1, .value_dim = 5, .mask = mask, .softmax_scale = 1.0};
        Call<T> call(c);
        for (Index i = 0; i < 307; ++i) {
          call.query.cells(i, 0) = static_cast<T>(rate * static_cast<double>(i % 7 + 1) / 7);
          call.key.cells(i, 0) = static_cast<T>(i);
        }
        call.forward(context);
        const auto expected =
            reference::attention(call.query.template widened<long double>(), call.key.template widened<long double>(),
                                 call.value.template widened<long double>(), c.reference_options());
        const double limit = support::tolerance::attention_abs<T>(static_cast<double>(expected.largest_logit),
                                                                  static_cast<double>(expected.largest_value));
        SCOPED_TRACE(testing::Message() << rate << " " << ef::name(context.instruction_set()));
        EXPECT_TRUE(support::within(support::max_error(call.y.values(), expected.out), limit));
      }
    }
  });
}

#if !defined(__FAST_MATH__)  // where the compiler orders the two ways to make weights anew
/// One query's scores grow and grow, which concerns the tile it is in, and not one bit of the other queries.
TYPED_TEST(Attention, a_query_with_large_scores_changes_no_bit_of_its_neighbours) {
  using T = TypeParam;
  for_each_instruction_set([&](ef::Context& context) {
    const Case c{.queries = 47, .keys = 263, .heads = 1, .kv_heads = 1, .key_dim = 19, .value_dim = 13};
    Call<T> clean(c);
    clean.forward(context);
    const std::vector<T> expected = clean.y.values();
    for (const double factor : {20.0, 1e4, 1e30}) {
      Call<T> call(c);
      for (Index i = 0; i < c.key_dim; ++i) call.query.cells(17, i) *= static_cast<T>(factor);
      call.forward(context);
      const std::vector<T> actual = call.y.values();
      for (Index i = 0; i < c.queries * c.value_dim; ++i) {
        if (i / c.value_dim == 17) continue;
        ASSERT_EQ(actual[static_cast<std::size_t>(i)], expected[static_cast<std::size_t>(i)]) << factor << " " << i;
      }
    }
  });
}
#endif

TYPED_TEST(Attention, equals_reference_for_every_head_dim_up_to_130) {
  int count = 0;
  for (Index d = 1; d <= 130; ++d, ++count) {
    expect_forward<TypeParam>({.queries = 11, .keys = 7, .key_dim = d, .value_dim = 131 - d});
    expect_forward<TypeParam>({.queries = 1, .keys = 19, .heads = 2, .key_dim = d, .value_dim = 131 - d});
  }
  EXPECT_EQ(count, 130);
}

TYPED_TEST(Attention, equals_reference_where_queries_and_keys_differ_in_number) {
  for (const Index s : {1, 7, 64}) {
    for (const Index t : {1, 63, 64, 65, 257}) {
      for (const Masked mask : {Masked::none, Masked::causal, Masked::causal_top_left}) {
        expect_forward<TypeParam>({.queries = s, .keys = t, .heads = 2, .key_dim = 7, .value_dim = 11, .mask = mask});
      }
    }
  }
}

/// Few tasks and a long context: the context is cut into parts that are put together again.
TYPED_TEST(Attention, equals_reference_where_the_context_is_cut_into_parts) {
  for (const Index s : {1, 5, 37}) {
    for (const Masked mask : {Masked::none, Masked::causal, Masked::causal_top_left, Masked::padding}) {
      Case c{.batch = 2, .queries = s, .keys = 1801, .heads = 3, .kv_heads = 1, .key_dim = 7, .value_dim = 11};
      c.mask = mask;
      c.segments = {701};
      expect_forward<TypeParam>(c);
    }
  }
}

/// The error grows with the logits and stays within (16 + L) eps max|V| and twice that of plain code.
TYPED_TEST(Attention, large_logits_stay_within_the_bound) {
  for_each_instruction_set([&](ef::Context& context) {
    for (const double deviation : {1.0, 3.0, 10.0}) {
      const Case c{.queries = 23,
                   .keys = 307,
                   .heads = 2,
                   .kv_heads = 2,
                   .key_dim = 61,
                   .value_dim = 29,
                   .query_deviation = deviation};
      expect_forward<TypeParam>(c);
      Call<TypeParam> call(c);
      call.forward(context);
      const auto exact =
          reference::attention(call.query.template widened<long double>(), call.key.template widened<long double>(),
                               call.value.template widened<long double>());
      const auto plain =
          reference::attention(call.query.template widened<TypeParam>(), call.key.template widened<TypeParam>(),
                               call.value.template widened<TypeParam>());
      const double scale = static_cast<double>(exact.largest_value);
      const double plain_error = support::max_error(plain.out, exact.out).worst;
      EXPECT_TRUE(support::within(support::max_error(call.y.values(), exact.out),
                                  support::tolerance::twice_plain<TypeParam>(plain_error, scale)));
    }
  });
}

TYPED_TEST(Attention, inputs_of_any_size_stay_finite_and_right) {
  for_each_instruction_set([&](ef::Context& context) {
    for (const support::Distribution distribution :
         {support::Distribution::uniform, support::Distribution::all_equal, support::Distribution::alternating,
          support::Distribution::spike, support::Distribution::tiny, support::Distribution::denormal}) {
      SCOPED_TRACE(name(distribution));
      const Case c{.queries = 13, .keys = 71, .key_dim = 5, .value_dim = 3};
      Call<TypeParam> call(c);
      support::Generator random(3);
      for (Heads<TypeParam>* tensor : {&call.query, &call.value}) {
        const auto numbers =
            support::sample<TypeParam>(distribution, tensor->cells.rows() * tensor->cells.cols(), random);
        std::copy(numbers.begin(), numbers.end(), tensor->cells.data());
      }
      call.forward(context);
      const auto expected =
          reference::attention(call.query.template widened<long double>(), call.key.template widened<long double>(),
                               call.value.template widened<long double>());
      const double limit = support::tolerance::attention_abs<TypeParam>(static_cast<double>(expected.largest_logit),
                                                                        static_cast<double>(expected.largest_value));
#if defined(__FAST_MATH__)  // its start-up code flushes denormal numbers
      const double smallest = static_cast<double>((std::numeric_limits<TypeParam>::min)());
#else
      const double smallest = static_cast<double>(std::numeric_limits<TypeParam>::denorm_min());
#endif
      EXPECT_TRUE(support::within(support::max_error(call.y.values(), expected.out), limit + 64 * smallest));
    }
  });
}

TYPED_TEST(Attention, rows_that_see_no_key_are_zero) {
  for_each_instruction_set([&](ef::Context& context) {
    for (const Index s : {5, 37, 131}) {
      Call<TypeParam> call({.queries = s, .keys = 3, .heads = 2, .key_dim = 5, .value_dim = 7, .mask = Masked::causal});
      call.forward(context);
      const std::vector<TypeParam> y = call.y.values();
      for (Index i = 0; i < (s - 3) * 2 * 7; ++i) ASSERT_EQ(y[static_cast<std::size_t>(i)], TypeParam(0));
      for (Index h = 0; h < 2; ++h) {
        for (Index i = 0; i < s - 3; ++i) {
          const double lse = static_cast<double>(call.log_sum_exp[h * s + i]);
          ASSERT_TRUE(support::is_infinite(lse) && std::signbit(lse));
        }
      }
    }
    expect_forward<TypeParam>({.batch = 2, .queries = 3, .keys = 0, .heads = 2, .key_dim = 5, .value_dim = 7});
    expect_forward<TypeParam>({.batch = 2, .queries = 101, .keys = 0, .heads = 2, .key_dim = 5, .value_dim = 7});
  });
}

/// What a row does not see leaves no bit of a trace in it.
TYPED_TEST(Attention, poison_behind_the_mask_changes_no_bit) {
  using T = TypeParam;
  int count = 0;
  for_each_instruction_set([&](ef::Context& context) {
    for (const Masked mask : {Masked::causal, Masked::causal_top_left, Masked::padding}) {
      for (const Index s : {1, 3, 41, 131}) {
        const Case c{.batch = 2,
                     .queries = s,
                     .keys = 83,
                     .heads = 4,
                     .kv_heads = 2,
                     .key_dim = 19,
                     .value_dim = 13,
                     .mask = mask};
        SCOPED_TRACE(testing::Message() << c << " " << ef::name(context.instruction_set()));
        Call<T> clean(c);
        clean.forward(context);
        const std::vector<T> expected = clean.y.values();
        const reference::AttentionOptions options = c.reference_options();
        for (const T poison : support::poisons<T>()) {
          for (const Index first : {0, 1, 2, 17, 40, 64, 82}) {
            Call<T> call(c);
            for (Index b = 0; b < c.batch; ++b) {
              for (Index t = first; t < c.keys; ++t) {
                for (Index i = 0; i < 2 * c.key_dim; ++i) call.key.cells(b * c.keys + t, i) = poison;
                for (Index i = 0; i < 2 * c.value_dim; ++i) call.value.cells(b * c.keys + t, i) = poison;
              }
            }
            call.forward(context);
            const std::vector<T> actual = call.y.values();
            const std::size_t row = static_cast<std::size_t>(c.heads * c.value_dim);
            for (Index b = 0; b < c.batch; ++b) {
              for (Index q = 0; q < s; ++q) {
                bool sees = false;
                for (Index t = first; t < c.keys; ++t) sees = sees || options.mask(b, q, t);
                if (sees) continue;
                const std::size_t at = static_cast<std::size_t>(b * s + q) * row;
                ASSERT_TRUE(support::bit_equal(std::vector<T>(&actual[at], &actual[at] + row),
                                               std::vector<T>(&expected[at], &expected[at] + row)))
                    << "query " << q << " of batch " << b << ", poison from key " << first;
                ++count;
              }
            }
          }
        }
      }
    }
  });
  EXPECT_GT(count, 1000);
}

/// A row whose score is NaN or infinite is lost, its neighbours are not.
TYPED_TEST(Attention, a_spoilt_query_spoils_no_other) {
  using T = TypeParam;
  for_each_instruction_set([&](ef::Context& context) {
    for (const Index s : {2, 47}) {
      const Case c{.queries = s, .keys = 83, .heads = 2, .kv_heads = 1, .key_dim = 19, .value_dim = 13};
      Call<T> clean(c);
      clean.forward(context);
      for (const T poison : support::poisons<T>()) {
        Call<T> call(c);
        for (Index i = 0; i < c.key_dim; ++i) call.query.cells(1, i) = poison;
        call.forward(context);
        const std::vector<T> actual = call.y.values();
        const std::vector<T> expected = clean.y.values();
        for (Index q = 0; q < s; ++q) {
          for (Index i = 0; i < 2 * 13; ++i) {
            if (q == 1 && i < 13) continue;
            ASSERT_EQ(actual[static_cast<std::size_t>(q * 26 + i)], expected[static_cast<std::size_t>(q * 26 + i)]);
          }
        }
      }
    }
  });
}

/// Whole tiles behind the mask, first, middle or last, and a single open key at each position.
struct OneKey {
  Index key = 0;
  void check(const ef::AttentionExtent&) const {}
  ef::KeyRange live_keys(const ef::AttentionExtent&, Index, Index) const { return {key, key + 1}; }
};

TYPED_TEST(Attention, a_single_open_key_gives_its_value) {
  using T = TypeParam;
  for_each_instruction_set([&](ef::Context& context) {
    for (const Index s : {1, 3, 41}) {
      Call<T> call({.queries = s, .keys = 197, .heads = 2, .key_dim = 5, .value_dim = 3});
      for (Index key = 0; key < 197; ++key) {
        call.forward(OneKey{key}, context);
        for (Index q = 0; q < s; ++q) {
          for (Index i = 0; i < 6; ++i) {
            const T value = call.value.cells(key, i % 3);
#if defined(__FAST_MATH__)  // divides by one through an approximate reciprocal
            ASSERT_NEAR(call.y.cells(q, i), value, std::abs(value) * std::numeric_limits<T>::epsilon()) << key;
#else
            ASSERT_EQ(call.y.cells(q, i), value) << key;
#endif
          }
        }
      }
    }
  });
}

TYPED_TEST(Attention, each_query_head_uses_its_key_value_head) {
  using T = TypeParam;
  int count = 0;
  for_each_instruction_set([&](ef::Context& context) {
    for (Index h = 1; h <= 12; ++h) {
      for (Index g = 1; g <= h; ++g) {
        if (h % g != 0) continue;
        for (const Index s : {1, 17}) {
          Call<T> call({.queries = s, .keys = 23, .heads = h, .kv_heads = g, .key_dim = 3, .value_dim = 2});
          for (Index t = 0; t < 23; ++t) {
            for (Index i = 0; i < 2 * g; ++i) call.value.cells(t, i) = static_cast<T>(i / 2 + 1);
          }
          call.forward(context);
          for (Index q = 0; q < s; ++q) {
            for (Index i = 0; i < 2 * h; ++i) {
              ASSERT_NEAR(call.y.cells(q, i), static_cast<T>(i / 2 / (h / g) + 1), 1e-4) << h << " heads, " << g;
            }
          }
          ++count;
        }
      }
    }
  });
  EXPECT_EQ(count % (2 * 35), 0);
}

TYPED_TEST(Attention, same_bits_for_any_thread_count_and_alignment) {
  using T = TypeParam;
  for (Case c : {Case{.batch = 2,
                .queries = 131,
                .keys = 131,
                .heads = 4,
                .kv_heads = 2,
                .key_dim = 64,
                .value_dim = 32,
                .mask = Masked::causal},
                 Case{.queries = 1, .keys = 2003, .heads = 8, .kv_heads = 2, .key_dim = 67, .value_dim = 33},
                 Case{.queries = 61, .keys = 1033, .heads = 2, .kv_heads = 1, .key_dim = 19, .value_dim = 23}}) {
    for_each_instruction_set([&](ef::Context& one) {
      Call<T> call(c);
      call.forward(one);
      const std::vector<T> expected = call.y.values();
      for (Index offset = 0; offset < support::alignment_offsets; ++offset) {
        const int threads = 1 + static_cast<int>(offset % 3);
        ef::Context context({.threads = threads, .instruction_set = one.instruction_set()});
        Case moved = c;
        moved.offset = offset;
        moved.gap = offset % 3;
        Call<T> other(moved);
        other.forward(context);
        ASSERT_TRUE(support::bit_equal(other.y.values(), expected)) << threads << " threads, offset " << offset;
      }
    });
  }
}

TYPED_TEST(Attention, nothing_is_left_of_the_call_before) {
  using T = TypeParam;
  for_each_instruction_set([&](ef::Context& context) {
    const Case a{.queries = 41, .keys = 83, .heads = 3, .key_dim = 19, .value_dim = 13};
    const Case b{.queries = 7, .keys = 131, .heads = 2, .key_dim = 64, .value_dim = 32, .mask = Masked::causal};
    Call<T> first(a);
    first.forward(context);
    const std::vector<T> expected = first.y.values();
    for (int i = 0; i < 3; ++i) {
      Call<T> between(b);
      between.forward(context);
      context.scratch().poison();
      Call<T> again(a);
      again.forward(context);
      EXPECT_TRUE(support::bit_equal(again.y.values(), expected));
    }
  });
}

TYPED_TEST(Attention, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    for (const Case& c :
         {Case{.queries = 131, .keys = 131, .heads = 8, .key_dim = 64, .value_dim = 64, .mask = Masked::causal},
          Case{.queries = 1, .keys = 4001, .heads = 8, .kv_heads = 2, .key_dim = 64, .value_dim = 64}}) {
      Call<TypeParam> call(c);
      const auto segments = call.segments();
      const auto run = [&] {
        ef::attention<TypeParam>({call.query.view(), segments}, {call.y.view(), nullptr}, ef::Causal{}, {}, context);
      };
      run();
      EXPECT_EQ(support::allocations_during(run), 0U) << threads << " threads";
    }
  }
}

TEST(AttentionErrors, name_what_was_expected_and_write_nothing) {
  ef::Context context;
  const auto message_of = [&](auto change) -> std::string {
    Call<float> call({.batch = 2, .queries = 3, .keys = 5, .heads = 4, .kv_heads = 2, .key_dim = 6, .value_dim = 7});
    ef::ConstHeadsView<float> query = call.query.view();
    std::vector<ef::KeyValueSegment<float>> segments(call.segments().begin(), call.segments().end());
    ef::HeadsView<float> y = call.y.view();
    ef::AttentionOptions options;
    change(query, segments, y, options);
    std::string message = "nothing thrown";
    try {
      ef::attention<float>({query, segments}, {y, call.log_sum_exp.data()}, ef::NoMask{}, options, context);
    } catch (const ef::Error& error) {
      message = error.what();
    }
    for (Index i = 0; i < call.log_sum_exp.size(); ++i) EXPECT_TRUE(call.log_sum_exp.untouched(i));
    for (const float x : call.y.values()) EXPECT_TRUE(support::is_nan(static_cast<double>(x)));
    return message;
  };
  using Query = ef::ConstHeadsView<float>;
  using Segments = std::vector<ef::KeyValueSegment<float>>;
  using Y = ef::HeadsView<float>;
  using Options = ef::AttentionOptions;
  const auto with_heads = [](Index heads, Index dim) { return Query(nullptr, 2, 3, heads, dim); };
  EXPECT_EQ(message_of([&](Query& q, Segments&, Y&, Options&) { q = with_heads(3, 6); }),
            "attention: expected heads divisible by kv_heads, got 3 heads and 2 kv_heads");
  EXPECT_EQ(message_of([&](Query& q, Segments&, Y&, Options&) { q = with_heads(4, 5); }),
            "attention: expected keys of shape [2, 5, 2, 5], got [2, 5, 2, 6]");
  EXPECT_EQ(message_of([&](Query& q, Segments&, Y&, Options&) { q = with_heads(0, 6); }),
            "attention: expected heads of query of at least 1, got 0");
  EXPECT_EQ(message_of([&](Query&, Segments& s, Y&, Options&) { s.clear(); }),
            "attention: expected at least one key/value segment, got none");
  EXPECT_EQ(message_of([&](Query&, Segments& s, Y&, Options&) { s[0].values = Query(nullptr, 2, 4, 2, 7); }),
            "attention: expected values of shape [2, 5, 2, 7], got [2, 4, 2, 7]");
  EXPECT_EQ(message_of([&](Query&, Segments&, Y& y, Options&) { y = y.positions(0, 2); }),
            "attention: expected y of shape [2, 3, 4, 7], got [2, 2, 4, 7]");
  EXPECT_EQ(message_of([&](Query&, Segments&, Y&, Options& o) { o.softcap = -1; }),
            "attention: expected softcap of at least 0, got -1");
}

/// [B, H, L, D] as stored -> [B, L, H, D].
template <class T>
ef::Tensor<T, 4> heads_last(const ef::Tensor<T, 4>& x) {
  return ef::Tensor<T, 4>(x.shuffle(std::array<int, 4>{0, 2, 1, 3}));
}

TEST(AttentionGolden, equals_published_vectors) {
  for (const char* name : {"attn_core_plain", "attn_core_causal_offset"}) {
    SCOPED_TRACE(name);
    const support::Golden golden(name);
    const ef::Tensor<double, 4> q = heads_last(golden.tensor<double, 4>("q"));
    const ef::Tensor<double, 4> k = heads_last(golden.tensor<double, 4>("k"));
    const ef::Tensor<double, 4> v = heads_last(golden.tensor<double, 4>("v"));
    const ef::Tensor<double, 4> expected = heads_last(golden.tensor<double, 4>("y"));
    for_each_instruction_set([&](ef::Context& context) {
      ef::Tensor<double, 4> y(expected.dimensions());
      const ef::KeyValueSegment<double> segments[] = {{k, v}};
      if (golden.contains("allowed")) {
        ef::attention<double>({q, segments}, {y, nullptr}, ef::Causal{}, {}, context);
      } else {
        ef::attention<double>({q, segments}, {y, nullptr}, ef::NoMask{}, {}, context);
      }
      EXPECT_TRUE(support::within(support::max_error(y, expected), support::tolerance::pytorch_abs<double>));
    });
  }
}

}  // namespace attention_test
