// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/linear/packed_linear.hpp>

#include <gtest/gtest.h>

#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;
using ef::InstructionSet;

static_assert(ef::Projection<ef::PackedLinear<float>, float> && ef::Projection<ef::PackedLinear<double>, double>);
static_assert(ef::Projection<ef::PackedLinear<float, ef::Bfloat16>, float>);

namespace {

template <class T>
class PackedLinearOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(PackedLinearOf, Scalars);

template <class T>
ef::Matrix<T> random_rows(Index rows, Index features) {
  ef::Matrix<T> matrix(rows, features);
  support::Generator random(static_cast<std::uint64_t>(rows));
  support::fill(matrix, support::Distribution::normal, random);
  return matrix;
}

/// Packed for one instruction set and run under another, or the same.
template <class T, class Storage>
int expect_the_bits_of_the_linear(InstructionSet packed_for, InstructionSet run_by) {
  if (!ef::available(packed_for) || !ef::available(run_by)) return 0;
  ef::Context context({.threads = 2, .instruction_set = run_by});
  int cases = 0;
  for (const Index in : {1, 67, 1031}) {
    for (const Index out : {1, 13, 67, 131}) {
      const ef::Linear<T, Storage> linear({.in_features = in, .out_features = out, .bias = out != 67}, ef::Random(3));
      const ef::PackedLinear<T, Storage> packed = linear.prepack(packed_for);
      EXPECT_EQ(packed.instruction_set(), packed_for);
      for (const Index rows : {0, 1, 5, 17, 71}) {
        const ef::Matrix<T> x = random_rows<T>(rows, in);
        EXPECT_TRUE(support::bit_equal(packed(x, context), linear(x, context)))
            << ef::name(packed_for) << " run by " << ef::name(run_by) << ": " << rows << " x " << in << " x " << out;
        ++cases;
      }
    }
  }
  return cases;
}

}  // namespace

TYPED_TEST(PackedLinearOf, gives_the_bits_of_the_linear_on_every_instruction_set) {
  using T = TypeParam;
  int cases = 0;
  for (const InstructionSet set : ef::all_instruction_sets) {
    cases += expect_the_bits_of_the_linear<T, T>(set, set);
    cases += expect_the_bits_of_the_linear<T, ef::Float16>(set, set);
  }
  EXPECT_GE(cases, 2 * 60);
}

TYPED_TEST(PackedLinearOf, gives_them_under_a_context_that_it_was_not_packed_for) {
  using T = TypeParam;
  int cases = 0;
  for (const InstructionSet packed_for : ef::all_instruction_sets) {
    cases += expect_the_bits_of_the_linear<T, T>(packed_for, InstructionSet::portable);
    cases += expect_the_bits_of_the_linear<T, T>(InstructionSet::portable, packed_for);
  }
  EXPECT_GE(cases, 2 * 60);
}

TYPED_TEST(PackedLinearOf, stays_what_it_was_when_the_linear_changes_or_goes) {
  using T = TypeParam;
  std::optional<ef::Linear<T>> linear(ef::Linear<T>({.in_features = 31, .out_features = 53}, ef::Random(5)));
  const ef::Matrix<T> x = random_rows<T>(37, 31);
  const ef::Matrix<T> before = (*linear)(x);
  ef::PackedLinear<T> packed = linear->prepack();
  linear->weight.value.setZero();
  linear->bias->value.setZero();
  EXPECT_TRUE(support::bit_equal(packed(x), before));
  linear.reset();
  const ef::PackedLinear<T> copy = packed;
  const ef::PackedLinear<T> moved = std::move(packed);
  EXPECT_TRUE(support::bit_equal(copy(x), before));
  EXPECT_TRUE(support::bit_equal(moved(x), before));
}

TYPED_TEST(PackedLinearOf, says_how_much_memory_it_takes) {
  using T = TypeParam;
  const ef::Linear<T> linear({.in_features = 31, .out_features = 53}, ef::Random(5));
  const Index lanes_of_portable = 16 / Index(sizeof(T));
  const Index padded = (53 + lanes_of_portable - 1) / lanes_of_portable * lanes_of_portable;
  EXPECT_EQ(linear.prepack(InstructionSet::portable).bytes(), std::size_t(31 * 53 + 31 * padded + 53) * sizeof(T));
}

TYPED_TEST(PackedLinearOf, has_the_input_gradient_of_the_linear_and_no_parameters) {
  using T = TypeParam;
  ef::Linear<T> linear({.in_features = 31, .out_features = 53}, ef::Random(5));
  ef::PackedLinear<T> packed = linear.prepack();
  const ef::Matrix<T> x = random_rows<T>(37, 31);
  const ef::Matrix<T> dy = random_rows<T>(37, 53);
  ef::Matrix<T> y(37, 53), dx(37, 31), expected(37, 31);
  ef::Context context;
  typename ef::PackedLinear<T>::Cache cache;
  typename ef::Linear<T>::Cache cache_of_linear;
  packed.forward(x, y, context, &cache);
  linear.forward(x, y, context, &cache_of_linear);
  packed.backward(dy, cache, dx, context);
  linear.backward(dy, cache_of_linear, expected, context);
  EXPECT_TRUE(support::bit_equal(dx, expected));
  EXPECT_EQ(ef::parameter_count(packed), 0);
}

TYPED_TEST(PackedLinearOf, rejects_what_does_not_fit_and_writes_nothing) {
  using T = TypeParam;
  ef::PackedLinear<T> packed({.in_features = 3, .out_features = 5}, ef::Random(1));
  ef::Context context;
  typename ef::PackedLinear<T>::Cache cache;
  ef::Matrix<T> y = ef::Matrix<T>::Constant(7, 5, T(9));
  const ef::Matrix<T> before = y;
  try {
    packed.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(7, 4)), y, context, &cache);
    ADD_FAILURE() << "expected ShapeError";
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "PackedLinear: expected last dimension 3, got x of shape [7, 4]");
  }
  EXPECT_THROW(packed.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(6, 3)), y, context, &cache), ef::ShapeError);
  ef::Matrix<T> dx(7, 3);
  EXPECT_THROW(packed.backward(y, cache, dx, context), ef::ShapeError) << "forward saw no rows";
  EXPECT_EQ(y, before);
  EXPECT_THROW(ef::PackedLinear<T>({.in_features = 3, .out_features = 0}, ef::Random(1)), ef::OptionError);
  ef::Linear<T> broken({.in_features = 3, .out_features = 5}, ef::Random(1));
  broken.bias->value.resize(4);
  EXPECT_THROW(broken.prepack(), ef::ShapeError);
#if defined(__x86_64__)
  EXPECT_THROW((ef::Linear<T>({.in_features = 3, .out_features = 5}, ef::Random(1)).prepack(InstructionSet::neon)),
               ef::OptionError);
#endif
}
