// SPDX-License-Identifier: MIT
#include "block/recurrent_case.hpp"
#include "reference/central_difference.hpp"
#include "support/allocation.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using recurrent::normal;
using recurrent::state;

namespace {

/// 7 does not divide into vectors, and 29 does not either; lengths are unsorted, and one is none.
constexpr Index batch = 5, length = 11, in = 7, hidden = 29;
constexpr std::array<Index, 5> lengths = {3, 11, 0, 10, 1};
constexpr std::array<Index, 5> full = {11, 11, 11, 11, 11};

template <class Block>
struct RecurrentOf : testing::Test {
  RecurrentOf() : block({.in_features = in, .hidden = hidden}, ef::Random(1)) { recurrent::spread(block); }
  Block block;
  ef::Context one_thread;
  ef::Tensor<typename Block::Scalar, 3> input = normal<typename Block::Scalar>(batch, length, in, 11);
  ef::Tensor<typename Block::Scalar, 3> upstream = normal<typename Block::Scalar>(batch, length, hidden, 13);
  ef::RecurrentState<typename Block::Scalar> start =
      state<typename Block::Scalar>(batch, hidden, 17, Block::Cell::has_cells);
};
using Blocks = testing::Types<ef::Lstm<float>, ef::Lstm<double>, ef::LayerNormLstm<float>, ef::LayerNormLstm<double>,
                              ef::LayerNormStateLstm<float>, ef::LayerNormStateLstm<double>, ef::Gru<float>,
                              ef::Gru<double>, ef::LayerNormGru<float>, ef::LayerNormGru<double>>;
TYPED_TEST_SUITE(RecurrentOf, Blocks);

template <class Block>
struct RecurrentInFloat : RecurrentOf<Block> {};
using FloatBlocks = testing::Types<ef::Lstm<float>, ef::LayerNormLstm<float>, ef::LayerNormStateLstm<float>,
                                   ef::Gru<float>, ef::LayerNormGru<float>>;
TYPED_TEST_SUITE(RecurrentInFloat, FloatBlocks);

template <class Block>
struct RecurrentInDouble : RecurrentOf<Block> {};
using DoubleBlocks = testing::Types<ef::Lstm<double>, ef::LayerNormLstm<double>, ef::LayerNormStateLstm<double>,
                                    ef::Gru<double>, ef::LayerNormGru<double>>;
TYPED_TEST_SUITE(RecurrentInDouble, DoubleBlocks);

/// Everything that a step of training gives.
template <class T>
struct Step {
  ef::Tensor<T, 3> y, dx;
  ef::RecurrentState<T> last, dinitial;
  std::vector<std::vector<T>> gradients;
};
template <class Block, class T = typename Block::Scalar>
Step<T> step_of(Block block, const ef::Tensor<T, 3>& x, const ef::Tensor<T, 3>& dy, const ef::Unrolling<T>& how,
                ef::Context& context) {
  Step<T> step{ef::Tensor<T, 3>(dy.dimensions()), ef::Tensor<T, 3>(x.dimensions()), {}, {}, {}};
  const ef::RecurrentState<T> dlast = state<T>(x.dimension(0), hidden, 19, Block::Cell::has_cells);
  typename Block::Cache cache;
  block.forward(x, step.y, {.lengths = how.lengths, .initial = how.initial, .last = &step.last}, context, &cache);
  block.backward(dy, cache, step.dx, {.last = &dlast, .initial = &step.dinitial}, context);
  block.visit_parameters([&](const ef::Name&, const auto& parameter) {
    step.gradients.emplace_back(parameter.gradients().begin(), parameter.gradients().end());
  });
  return step;
}
template <class T>
void expect_same(const Step<T>& a, const Step<T>& b) {
  EXPECT_TRUE(support::bit_equal(a.y, b.y));
  EXPECT_TRUE(support::bit_equal(a.dx, b.dx));
  EXPECT_TRUE(support::bit_equal(a.last.h, b.last.h));
  EXPECT_TRUE(support::bit_equal(a.last.c, b.last.c));
  EXPECT_TRUE(support::bit_equal(a.dinitial.h, b.dinitial.h));
  EXPECT_TRUE(support::bit_equal(a.dinitial.c, b.dinitial.c));
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  for (std::size_t i = 0; i < a.gradients.size(); ++i) EXPECT_TRUE(support::bit_equal(a.gradients[i], b.gradients[i]));
}

template <class T>
ef::Tensor<T, 3> part(const ef::Tensor<T, 3>& x, Index first, Index count) {
  return x.slice(std::array<Index, 3>{0, first, 0}, std::array<Index, 3>{x.dimension(0), count, x.dimension(2)});
}

std::string complaint(const auto& call) {
  try {
    call();
  } catch (const ef::Error& error) {
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace

TYPED_TEST(RecurrentOf, equals_the_reference_for_every_length_and_state) {
  using T = typename TypeParam::Scalar;
  const auto wide_row = [&](const ef::Matrix<T>& m, Index b) {
    return m.size() == 0 ? reference::Array<double>({1, hidden})
                         : reference::widened(m.data() + b * hidden, {1, hidden});
  };
  for (const auto& chosen : {lengths, full}) {
    ef::RecurrentState<T> last;
    const ef::Tensor<T, 3> y =
        this->block(this->input, ef::Unrolling<T>{.lengths = chosen, .initial = &this->start, .last = &last});
    for (Index b = 0; b < batch; ++b) {
      const Index own = chosen[static_cast<std::size_t>(b)];
      const auto expected = recurrent::expected_of(this->block, reference::widened(&this->input(b, 0, 0), {own, in}),
                                                   wide_row(this->start.h, b), wide_row(this->start.c, b));
      const std::vector<T> rows(&y(b, 0, 0), &y(b, 0, 0) + own * hidden);
      const std::vector<T> padding(&y(b, 0, 0) + own * hidden, &y(b, 0, 0) + length * hidden);
      if (own > 0) {
        EXPECT_TRUE(within(support::worst_row_nmse(rows, expected.y, hidden), recurrent::row_nmse<T>(length))) << b;
      }
      EXPECT_TRUE(support::bit_equal(padding, std::vector<T>(padding.size(), T(0)))) << b;
      const ef::Matrix<T> h = last.h.row(b);
      EXPECT_TRUE(within(support::worst_row_nmse(h, expected.h, hidden), recurrent::row_nmse<T>(length))) << b;
      if (!TypeParam::Cell::has_cells) continue;
      const ef::Matrix<T> c = last.c.row(b);
      EXPECT_TRUE(within(support::worst_row_nmse(c, expected.c, hidden), recurrent::row_nmse<T>(length))) << b;
    }
  }
}

TYPED_TEST(RecurrentInDouble, gradients_equal_differences_through_time_lengths_and_states) {
  using T = double;
  TypeParam small({.in_features = 3, .hidden = 5}, ef::Random(1));
  recurrent::spread(small);
  auto x = normal<T>(3, 4, 3, 11);
  const auto dy = normal<T>(3, 4, 5, 13);
  constexpr std::array<Index, 3> own = {2, 4, 0};
  auto initial = state<T>(3, 5, 17, TypeParam::Cell::has_cells);
  const auto dlast = state<T>(3, 5, 19, TypeParam::Cell::has_cells);
  ef::RecurrentState<T> last, dinitial;
  ef::Tensor<T, 3> y(dy.dimensions()), dx(x.dimensions());
  const ef::Unrolling<T> how = {.lengths = own, .initial = &initial, .last = &last};
  typename TypeParam::Cache cache;
  small.forward(x, y, how, this->one_thread, &cache);
  small.backward(dy, cache, dx, {.last = &dlast, .initial = &dinitial}, this->one_thread);
  const auto loss = [&] {
    small.forward(x, y, how, this->one_thread);
    double sum = last.h.cwiseProduct(dlast.h).sum();
    if (TypeParam::Cell::has_cells) sum += last.c.cwiseProduct(dlast.c).sum();
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  };
  const auto check = [&](T* values, const T* gradients, Index count, const std::string& name) {
    for (Index i = 0; i < count; ++i) {
      const double expected = reference::central_difference(values[i], tolerance::difference_step, loss);
      ASSERT_NEAR(gradients[i], expected, tolerance::difference_abs + tolerance::difference_rel * std::abs(expected))
          << name << " at " << i;
    }
  };
  check(x.data(), dx.data(), x.size(), "x");
  check(initial.h.data(), dinitial.h.data(), initial.h.size(), "h");
  check(initial.c.data(), dinitial.c.data(), initial.c.size(), "c");
  small.visit_parameters([&](const ef::Name& name, auto& parameter) {
    check(parameter.value.data(), parameter.gradient.data(), parameter.size(), name.str());
  });
}

TYPED_TEST(RecurrentInFloat, gradients_equal_those_in_double) {
  const auto wider = []<class... A>(const ef::Recurrent<ef::LstmCell<float, A...>>&) {
    using Norm = std::tuple_element_t<0, std::tuple<A...>>;
    using Wide = std::conditional_t<std::is_same_v<Norm, ef::NoNorm<float>>, ef::NoNorm<double>, ef::LayerNorm<double>>;
    return ef::Lstm<double, Wide, std::tuple_element_t<1, std::tuple<A...>>>({.in_features = in, .hidden = hidden},
                                                                             ef::Random(1));
  };
  const auto wider_gru = []<class Norm>(const ef::Recurrent<ef::GruCell<float, Norm>>&) {
    using Wide = std::conditional_t<std::is_same_v<Norm, ef::NoNorm<float>>, ef::NoNorm<double>, ef::LayerNorm<double>>;
    return ef::Gru<double, Wide>({.in_features = in, .hidden = hidden}, ef::Random(1));
  };
  auto wide = [&] {
    if constexpr (TypeParam::Cell::has_cells) {
      return wider(this->block);
    } else {
      return wider_gru(this->block);
    }
  }();
  std::vector<std::vector<double>> values;
  this->block.visit_parameters([&](const ef::Name&, const auto& parameter) {
    values.emplace_back(parameter.values().begin(), parameter.values().end());
  });
  std::size_t next = 0;
  wide.visit_parameters([&](const ef::Name&, auto& parameter) {
    std::copy(values[next].begin(), values[next].end(), parameter.values().begin());
    ++next;
  });
  const ef::Tensor<double, 3> x = this->input.template cast<double>(), dy = this->upstream.template cast<double>();
  const ef::RecurrentState<double> initial = {this->start.h.template cast<double>(),
                                              this->start.c.template cast<double>()};
  ef::RecurrentState<double> wide_dlast;
  const auto narrow = step_of(this->block, this->input, this->upstream, {.lengths = lengths, .initial = &this->start},
                              this->one_thread);
  const auto expected =
      step_of(wide, x, dy, ef::Unrolling<double>{.lengths = lengths, .initial = &initial}, this->one_thread);
  // Both start from the same gradient of the last state up to rounding to float.
  const double limit = tolerance::backward_row_nmse<float>;
  EXPECT_TRUE(within(support::worst_row_nmse(narrow.dx, expected.dx, narrow.dx.size()), limit));
  EXPECT_TRUE(within(support::worst_row_nmse(narrow.dinitial.h, expected.dinitial.h, narrow.dinitial.h.size()), limit));
  for (std::size_t i = 0; i < narrow.gradients.size(); ++i) {
    EXPECT_TRUE(within(support::worst_row_nmse(narrow.gradients[i], expected.gradients[i],
                                               static_cast<Index>(narrow.gradients[i].size())),
                       limit))
        << i;
  }
}

TYPED_TEST(RecurrentOf, what_lies_beyond_an_end_changes_no_bit) {
  using T = typename TypeParam::Scalar;
  const ef::Unrolling<T> how = {.lengths = lengths, .initial = &this->start};
  const auto expected = step_of(this->block, this->input, this->upstream, how, this->one_thread);
  for (const T poison : support::poisons<T>()) {
    auto x = this->input, dy = this->upstream;
    for (Index b = 0; b < batch; ++b) {
      const Index own = lengths[static_cast<std::size_t>(b)];
      std::fill_n(x.data() + (b * length + own) * in, (length - own) * in, poison);
      std::fill_n(dy.data() + (b * length + own) * hidden, (length - own) * hidden, poison);
    }
    expect_same(step_of(this->block, x, dy, how, this->one_thread), expected);
    EXPECT_TRUE(support::bit_equal(this->block(x, how), expected.y));
  }
  for (Index b = 0; b < batch; ++b) {
    for (Index i = lengths[static_cast<std::size_t>(b)] * in; i < length * in; ++i) {
      ASSERT_EQ(expected.dx.data()[b * length * in + i], T(0));
    }
  }
}

TYPED_TEST(RecurrentOf, lengths_of_all_steps_are_no_lengths) {
  using T = typename TypeParam::Scalar;
  expect_same(
      step_of(this->block, this->input, this->upstream, {.lengths = full, .initial = &this->start}, this->one_thread),
      step_of(this->block, this->input, this->upstream, {.initial = &this->start}, this->one_thread));
  const ef::RecurrentState<T> zeros = {ef::Matrix<T>::Zero(batch, hidden), ef::Matrix<T>::Zero(batch, hidden)};
  expect_same(step_of(this->block, this->input, this->upstream, {.initial = &zeros}, this->one_thread),
              step_of(this->block, this->input, this->upstream, ef::Unrolling<T>{}, this->one_thread));
}

/// In pieces of any size, one step among them, with the state handed on; in place of itself, too.
TYPED_TEST(RecurrentOf, pieces_equal_the_whole) {
  using T = typename TypeParam::Scalar;
  const ef::Tensor<T, 3> whole = this->block(this->input);
  for (const std::vector<Index>& pieces : {std::vector<Index>{11}, {4, 7}, {1, 9, 1}, std::vector<Index>(11, 1)}) {
    ef::RecurrentState<T> carried = {ef::Matrix<T>::Zero(batch, hidden), ef::Matrix<T>::Zero(batch, hidden)};
    Index first = 0;
    for (const Index count : pieces) {
      const ef::Tensor<T, 3> y =
          this->block(part(this->input, first, count), ef::Unrolling<T>{.initial = &carried, .last = &carried});
      EXPECT_TRUE(
          within(support::worst_row_nmse(y, part(whole, first, count), hidden), recurrent::row_nmse<T>(length)));
      first += count;
    }
  }
}

TYPED_TEST(RecurrentOf, a_sequence_does_not_see_its_neighbours) {
  using T = typename TypeParam::Scalar;
  const ef::Tensor<T, 3> all = this->block(this->input, ef::Unrolling<T>{.lengths = lengths});
  const std::array<Index, 3> extents = {1, length, in}, out = {1, length, hidden};
  for (Index b = 0; b < batch; ++b) {
    const ef::Tensor<T, 3> one = this->input.slice(std::array<Index, 3>{b, 0, 0}, extents);
    const ef::Tensor<T, 3> expected = all.slice(std::array<Index, 3>{b, 0, 0}, out);
    const std::array<Index, 1> own = {lengths[static_cast<std::size_t>(b)]};
    EXPECT_TRUE(within(support::max_error(this->block(one, ef::Unrolling<T>{.lengths = own}), expected),
                       64 * tolerance::epsilon<T>));
  }
}

TYPED_TEST(RecurrentOf, same_bits_for_any_threads_and_nothing_allocated) {
  using T = typename TypeParam::Scalar;
  // Enough for several threads to be worth their while.
  TypeParam wide({.in_features = 31, .hidden = 67}, ef::Random(1));
  const auto x = normal<T>(83, 5, 31, 11), dy = normal<T>(83, 5, 67, 13);
  std::vector<Index> own(83);
  for (std::size_t b = 0; b < own.size(); ++b) own[b] = static_cast<Index>(b % 6);
  const auto initial = state<T>(83, 67, 17, TypeParam::Cell::has_cells);
  ef::Tensor<T, 3> first_y, first_dx;
  for (const int threads : {1, 2, 3}) {
    ef::Context context({.threads = threads});
    ef::Tensor<T, 3> y(dy.dimensions()), dx(x.dimensions());
    ef::RecurrentState<T> last, dinitial;
    typename TypeParam::Cache cache;
    const auto run = [&] {
      wide.forward(x, y, {.lengths = own, .initial = &initial, .last = &last}, context, &cache);
      wide.backward(dy, cache, dx, {.last = &initial, .initial = &dinitial}, context);
      wide.forward(x, y, context);
      wide.forward(x, y, {.lengths = own, .initial = &initial, .last = &last}, context);
    };
    run();
    if (threads == 1) first_y = y;
    if (threads == 1) first_dx = dx;
    EXPECT_TRUE(support::bit_equal(y, first_y)) << threads;
    EXPECT_TRUE(support::bit_equal(dx, first_dx)) << threads;
    if (!support::AllocationCounter::available()) continue;
    EXPECT_EQ(support::allocations_during(run), 0U) << threads;
  }
}

TYPED_TEST(RecurrentOf, every_instruction_set_gives_the_same_numbers) {
  using T = typename TypeParam::Scalar;
  const ef::Tensor<T, 3> expected = this->block(this->input);
  int sets = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    ef::Context context({.instruction_set = set});
    EXPECT_TRUE(within(support::worst_row_nmse(this->block(this->input, context), expected, hidden),
                       recurrent::row_nmse<T>(length)));
    ++sets;
  }
  EXPECT_GE(sets, 1);
}

/// Gates that are wide open or shut: nothing overflows, and what is not let in does not count.
TYPED_TEST(RecurrentOf, stays_finite_with_inputs_of_any_size) {
  using T = typename TypeParam::Scalar;
  for (const double scale : {1e4, 1e18, 1e30}) {
    const ef::Tensor<T, 3> x = this->input * static_cast<T>(scale);
    const auto step = step_of(this->block, x, this->upstream, ef::Unrolling<T>{}, this->one_thread);
    EXPECT_TRUE(support::all_finite(step.y)) << scale;
    EXPECT_TRUE(support::all_finite(step.dx)) << scale;
  }
}

TYPED_TEST(RecurrentOf, rejects_what_does_not_fit_and_writes_nothing) {
  using T = typename TypeParam::Scalar;
  const std::string name(TypeParam::block);
  ef::Tensor<T, 3> y(batch, length, hidden), wide(batch, length, hidden + 1), dx(this->input.dimensions());
  y.setConstant(T(17));
  dx.setConstant(T(17));
  typename TypeParam::Cache cache;
  const auto forward = [&](const ef::Unrolling<T>& how) {
    this->block.forward(this->input, y, how, this->one_thread, &cache);
  };
  EXPECT_EQ(complaint([&] { this->block.forward(wide, y, this->one_thread); }),
            name + ": expected last dimension 7, got x of shape [5, 11, 30]");
  EXPECT_EQ(complaint([&] { this->block.forward(this->input, wide, this->one_thread); }),
            name + ": expected y of shape [5, 11, 29], got [5, 11, 30]");
  const std::array<Index, 4> few = {1, 2, 3, 4};
  EXPECT_EQ(complaint([&] { forward({.lengths = few}); }),
            name + ": expected one length for each of 5 sequences, got 4");
  const std::array<Index, 5> long_one = {1, 2, 12, 4, 5}, negative = {1, 2, 3, -1, 5};
  EXPECT_EQ(complaint([&] { forward({.lengths = long_one}); }), name + ": expected lengths in 0 .. 11, got 12");
  EXPECT_EQ(complaint([&] { forward({.lengths = negative}); }), name + ": expected lengths in 0 .. 11, got -1");
  ef::RecurrentState<T> other = this->start;
  other.h.resize(batch, hidden + 1);
  EXPECT_EQ(complaint([&] { forward({.initial = &other}); }),
            name + ": expected h of the initial state of shape [5, 29], got [5, 30]");
  if (TypeParam::Cell::has_cells) {
    other = this->start;
    other.c.resize(0, 0);
    EXPECT_EQ(complaint([&] { forward({.initial = &other}); }),
              name + ": expected c of the initial state of shape [5, 29], got [0, 0]");
  }
  EXPECT_EQ(complaint([&] { this->block.backward(this->upstream, cache, dx, this->one_thread); }),
            name + ": expected dy of shape [0, 0, 29], got [5, 11, 29]");
  for (Index i = 0; i < y.size(); ++i) ASSERT_EQ(y.data()[i], T(17));
  forward({});
  other = this->start;
  other.h.resize(2, hidden);
  EXPECT_EQ(complaint([&] { this->block.backward(this->upstream, cache, dx, {.last = &other}, this->one_thread); }),
            name + ": expected h of the last state's gradient of shape [5, 29], got [2, 29]");
  EXPECT_THROW(this->block.backward(part(this->upstream, 0, 3), cache, dx, this->one_thread), ef::ShapeError);
  this->block.cell.hidden.weight.trainable = false;
  forward({});
  this->block.cell.hidden.weight.trainable = true;
  if (TypeParam::Cell::has_cells) {
    EXPECT_EQ(complaint([&] { this->block.backward(this->upstream, cache, dx, this->one_thread); }),
              name + ": expected the states of forward in the cache, but weight_hh was frozen then");
  }
  for (Index i = 0; i < dx.size(); ++i) ASSERT_EQ(dx.data()[i], T(17));
}

TYPED_TEST(RecurrentOf, rejects_weights_that_do_not_go_together) {
  using T = typename TypeParam::Scalar;
  auto& cell = this->block.cell;
  cell.hidden = ef::Linear<T>({.in_features = hidden, .out_features = 5}, ef::Random(1));
  EXPECT_THROW(this->block(this->input), ef::ShapeError);
  EXPECT_THROW(TypeParam{cell}, ef::ShapeError);
  EXPECT_THROW(TypeParam({.in_features = 0, .hidden = 5}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(TypeParam({.in_features = 3, .hidden = 0}, ef::Random(1)), ef::OptionError);
  TypeParam replaced({.in_features = in, .hidden = hidden}, ef::Random(1));
  if constexpr (requires { replaced.cell.input_norm.weight; }) {
    replaced.cell.hidden_norm = ef::LayerNorm<T>({.dim = 5});
    EXPECT_THROW(replaced(this->input), ef::ShapeError);
  }
}
