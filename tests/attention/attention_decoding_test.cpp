// SPDX-License-Identifier: MIT
// Few queries, which take a way of their own through attention, and keys and values in half precision, which any number
// of queries may read.
#include <eigenformer/attention/attention_decoding.hpp>

#include "attention/attention_case.hpp"
#include "support/allocation.hpp"

namespace attention_test {

template <class T>
class FewQueries : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(FewQueries, Scalars);

TYPED_TEST(FewQueries, equal_reference_for_any_number_of_heads) {
  std::uint64_t salt = 0;
  for (const Index kv_heads : {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 32}) {
    for (const Index group : {1, 2, 3, 5, 8}) {
      for (const Index s : {1, 2}) {
        if (s * group > ef::kernels::attention_few_columns) continue;
        Case c{
            .queries = s, .keys = 71, .heads = kv_heads * group, .kv_heads = kv_heads, .key_dim = 19, .value_dim = 37};
        c.mask = salt % 2 == 0 ? Masked::causal : Masked::none;
        c.segments = {salt % 3 == 0 ? Index(13) : Index(0)};
        c.gap = static_cast<Index>(salt % 3);
        c.salt = salt++;
        expect_forward<TypeParam>(c);
      }
    }
  }
}

/// Every number of positions that a tile may be left with, whatever it is cut into.
TYPED_TEST(FewQueries, equal_reference_for_every_length) {
  for (Index t = 1; t <= 2 * ef::kernels::attention_decode_tile + 1; t += t < 140 ? 1 : 7) {
    Case c{.queries = 1 + t % 2, .keys = t, .heads = 4, .kv_heads = 2, .key_dim = 17, .value_dim = 13};
    c.mask = t % 3 == 0 ? Masked::none : Masked::causal;
    c.softcap = t % 5 == 0 ? 1.7 : 0;
    c.salt = static_cast<std::uint64_t>(t);
    expect_forward<TypeParam>(c);
  }
}

/// Counts how often the tasks of a plan meet each (batch, head, key).
void expect_each_key_once(Index batch, Index queries, Index keys, Index heads, Index kv_heads, Index dim) {
  ef::kernels::AttentionProblem<float> problem;
  problem.query = ef::ConstHeadsView<float>(nullptr, batch, queries, heads, dim);
  problem.kv_heads = kv_heads;
  problem.keys = keys;
  problem.value_dim = dim;
  ASSERT_TRUE(ef::detail::DecodingPlan::suits(problem));
  const ef::detail::DecodingPlan plan(problem);
  std::vector<int> met(static_cast<std::size_t>(batch * kv_heads * keys));
  for (Index b = 0; b < batch; ++b) {
    for (Index group = 0; group < plan.groups; ++group) {
      for (Index split = 0; split < plan.splits; ++split) {
        const ef::kernels::AttentionTask task = plan.task(b, group, split, keys);
        EXPECT_EQ(task.columns, queries * heads / kv_heads);
        EXPECT_EQ(task.first_head, task.kv_head * (heads / kv_heads));
        EXPECT_GE(task.kv_heads, 1);
        EXPECT_LT(task.keys.first, task.keys.last);
        for (Index h = task.kv_head; h < task.kv_head + task.kv_heads; ++h) {
          for (Index t = task.keys.first; t < task.keys.last; ++t) {
            ++met[static_cast<std::size_t>((b * kv_heads + h) * keys + t)];
          }
        }
      }
    }
  }
  for (const int count : met) ASSERT_EQ(count, 1);
}

TEST(DecodingPlan, meets_every_key_once) {
  expect_each_key_once(1, 1, 1201, 6, 2, 64);
  expect_each_key_once(3, 2, 601, 15, 5, 128);
  expect_each_key_once(1, 1, 5003, 67, 67, 256);
  expect_each_key_once(17, 1, 701, 2, 1, 64);
  expect_each_key_once(2, 8, 3, 7, 7, 1031);
}

TEST(DecodingPlan, is_for_few_columns) {
  ef::kernels::AttentionProblem<float> problem;
  problem.query = ef::ConstHeadsView<float>(nullptr, 1, 3, 9, 4);
  problem.kv_heads = 3;
  EXPECT_FALSE(ef::detail::DecodingPlan::suits(problem));
  problem.kv_heads = 9;
  EXPECT_TRUE(ef::detail::DecodingPlan::suits(problem));
}

template <class S, class T>
S stored(T x) {
  return ef::rounded<S>(x);
}

/// Keys and values in two segments of a case, each stored as a type of its own, and the same numbers widened.
template <class T, class KeyStorage, class ValueStorage>
struct Stored {
  explicit Stored(const Case& c)
      : widened(c), keys(c, c.keys, c.kv_heads, c.key_dim), values(c, c.keys, c.kv_heads, c.value_dim) {
    take(widened.key, keys);
    take(widened.value, values);
  }

  /// The first `count` keys and values, as they are stored; the others widened or stored too.
  std::array<ef::KeyValueSegment<T>, 2> segments(Index count, bool mixed) {
    const Index rest = widened.c.keys - count;
    std::array<ef::KeyValueSegment<T>, 2> result;
    result[0] = {constant(keys.view().positions(0, count)), constant(values.view().positions(0, count))};
    if (mixed) {
      result[1] = {widened.key.view().positions(count, rest), widened.value.view().positions(count, rest)};
    } else {
      result[1] = {constant(keys.view().positions(count, rest)), constant(values.view().positions(count, rest))};
    }
    return result;
  }

  Call<T> widened;
  Heads<KeyStorage> keys;
  Heads<ValueStorage> values;

 private:
  template <class S>
  static ef::ConstHeadsView<S> constant(const ef::HeadsView<S>& x) {
    return x;
  }
  template <class S>
  static void take(Heads<T>& from, Heads<S>& to) {
    for (Index r = 0; r < from.cells.rows(); ++r) {
      for (Index i = 0; i < from.cells.cols(); ++i) {
        to.cells(r, i) = stored<S>(from.cells(r, i));
        from.cells(r, i) = ef::widened<T>(to.cells(r, i));
      }
    }
  }
};

/// Attention over what is stored in half precision has the bits of attention over the same numbers widened.
template <class T, class KeyStorage, class ValueStorage>
void expect_bits_of_widened(const Case& c, bool mixed) {
  for_each_instruction_set([&](ef::Context& one) {
    if (!keeps_bits(one.instruction_set())) return;
    for (const int threads : {1, 2}) {
      ef::Context context({.threads = threads, .instruction_set = one.instruction_set()});
      SCOPED_TRACE(testing::Message() << c << " " << ef::name(one.instruction_set()) << " " << threads << " threads");
      Stored<T, KeyStorage, ValueStorage> half(c);
      half.widened.c.segments = {c.keys / 3};
      half.widened.forward(context);
      const std::vector<T> expected = half.widened.y.values();
      const std::vector<T> logarithms(half.widened.log_sum_exp.begin(), half.widened.log_sum_exp.end());
      const auto segments = half.segments(c.keys / 3, mixed);
      with_mask(c, [&](const auto& mask) {
        ef::attention<T>({half.widened.query.view(), segments},
                         {half.widened.y.view(), half.widened.log_sum_exp.data()}, mask, half.widened.options(),
                         context);
      });
      EXPECT_TRUE(support::bit_equal(half.widened.y.values(), expected));
      EXPECT_TRUE(support::bit_equal(std::vector<T>(half.widened.log_sum_exp.begin(), half.widened.log_sum_exp.end()),
                                     logarithms));
    }
  });
}

template <class T>
class HalfKeysAndValues : public testing::Test {};
TYPED_TEST_SUITE(HalfKeysAndValues, Scalars);

TYPED_TEST(HalfKeysAndValues, give_the_bits_of_the_widened_ones) {
  using T = TypeParam;
  std::uint64_t salt = 0;
  for (const Index s : {1, 2, 5, 61, 131}) {
    for (const Index t : {5, 131, 601}) {
      Case c{.batch = 2, .queries = s, .keys = t, .heads = 6, .kv_heads = 3, .key_dim = 19, .value_dim = 37};
      c.mask = salt % 2 == 0 ? Masked::causal : Masked::padding;
      c.gap = static_cast<Index>(salt % 3);
      c.offset = static_cast<Index>(salt % 16);
      c.softcap = salt % 4 == 0 ? 1.7 : 0;
      c.salt = salt++;
      expect_bits_of_widened<T, ef::Bfloat16, ef::Bfloat16>(c, false);
      expect_bits_of_widened<T, ef::Float16, ef::Float16>(c, true);
      expect_bits_of_widened<T, ef::Bfloat16, ef::Float16>(c, false);
      expect_bits_of_widened<T, T, ef::Bfloat16>(c, true);
    }
  }
}

/// Gradients of what is stored in half precision are those of the widened numbers, in full.
TYPED_TEST(HalfKeysAndValues, have_the_gradients_of_the_widened_ones) {
  using T = TypeParam;
  for_each_instruction_set([&](ef::Context& context) {
    const Case c{.batch = 2, .queries = 67, .keys = 83, .heads = 4, .kv_heads = 2, .key_dim = 17, .value_dim = 13};
    Stored<T, ef::Bfloat16, ef::Float16> half(c);
    Call<T>& call = half.widened;
    call.c.segments = {31};
    call.forward(context);
    call.backward(context);
    const std::array expected = {call.dquery.values(), call.dkey.values(), call.dvalue.values()};
    const auto segments = half.segments(31, false);
    ef::attention_backward<T>({call.query.view(), segments}, {call.y.view(), call.dy.view(), call.log_sum_exp.data()},
                              {call.dquery.view(), call.gradients()}, ef::NoMask{}, call.options(), context);
    EXPECT_TRUE(support::bit_equal(call.dquery.values(), expected[0]));
    EXPECT_TRUE(support::bit_equal(call.dkey.values(), expected[1]));
    EXPECT_TRUE(support::bit_equal(call.dvalue.values(), expected[2]));
  });
}

TYPED_TEST(HalfKeysAndValues, allocate_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    for (const Index s : {1, 131}) {
      const Case c{.queries = s, .keys = 1201, .heads = 8, .kv_heads = 4, .key_dim = 64, .value_dim = 64};
      Stored<TypeParam, ef::Bfloat16, ef::Bfloat16> half(c);
      const auto segments = half.segments(701, true);
      const auto run = [&] {
        ef::attention<TypeParam>({half.widened.query.view(), segments}, {half.widened.y.view(), nullptr}, ef::Causal{},
                                 {}, context);
      };
      run();
      EXPECT_EQ(support::allocations_during(run), 0U) << threads << " threads, " << s << " queries";
    }
  }
}

TEST(HalfKeysAndValuesErrors, name_what_was_expected) {
  ef::Context context;
  ef::Tensor<float, 4> q(1, 1, 6, 5), y(1, 1, 6, 7);
  q.setZero();
  y.setConstant(3);
  std::vector<ef::Bfloat16> memory(1000);
  const ef::ConstHeadsView<ef::Bfloat16> k(memory.data(), 1, 11, 3, 4), v(memory.data(), 1, 11, 3, 7);
  const ef::KeyValueSegment<float> segments[] = {{k, v}};
  try {
    ef::attention<float>({q, segments}, {y, nullptr}, ef::NoMask{}, {}, context);
    FAIL() << "nothing thrown";
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "attention: expected keys of shape [1, 11, 3, 5], got [1, 11, 3, 4]");
  }
  EXPECT_EQ(y(0, 0, 5, 6), 3);
}

}  // namespace attention_test
