// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>

#include <gtest/gtest.h>

namespace ef = eigenformer;

namespace {

struct AMask {};

class Tokens : public ef::Block<Tokens> {
 public:
  struct Cache {};
  void forward(ef::ConstRowsView<float>, ef::RowsView<float>, ef::Context&, Cache* = nullptr) const {}
  void backward(ef::ConstRowsView<float>, const Cache&, ef::RowsView<float>, ef::Context&) {}
  static void members(auto&, auto&&) {}
};

class Projects : public Tokens {
 public:
  ef::Index input_features() const { return 1; }
  ef::Index output_features() const { return 1; }
};

class Sequences : public ef::Block<Sequences> {
 public:
  struct Cache {};
  void forward(ef::ConstTensorView<float, 3>, ef::TensorView<float, 3>, const AMask&, ef::Context&,
               Cache* = nullptr) const {}
  void backward(ef::ConstTensorView<float, 3>, const Cache&, ef::TensorView<float, 3>, ef::Context&) {}
  static void members(auto&, auto&&) {}
};

class CannotBeCopied : public Tokens {
 public:
  CannotBeCopied() = default;
  CannotBeCopied(const CannotBeCopied&) = delete;
  CannotBeCopied(CannotBeCopied&&) = default;
};

class NoBackward : public ef::Block<NoBackward> {
 public:
  struct Cache {};
  void forward(ef::ConstRowsView<float>, ef::RowsView<float>, ef::Context&, Cache* = nullptr) const {}
  static void members(auto&, auto&&) {}
};

class ForwardChangesIt : public Tokens {
 public:
  void forward(ef::ConstRowsView<float>, ef::RowsView<float>, ef::Context&, Cache* = nullptr) {}
};

static_assert(ef::ParameterHolder<Tokens> && !ef::ParameterHolder<CannotBeCopied> && !ef::ParameterHolder<int>);
static_assert(ef::TokenwiseBlock<Tokens, float> && !ef::TokenwiseBlock<Tokens, double>);
static_assert(!ef::TokenwiseBlock<NoBackward, float> && !ef::TokenwiseBlock<ForwardChangesIt, float>);
static_assert(!ef::TokenwiseBlock<Sequences, float>);
static_assert(ef::SequenceBlock<Sequences, float, AMask> && !ef::SequenceBlock<Sequences, float, int>);
static_assert(!ef::SequenceBlock<Tokens, float, AMask>);
static_assert(ef::Projection<Projects, float> && !ef::Projection<Tokens, float>);

}  // namespace

TEST(Concepts, are_held_when_compiling) { SUCCEED(); }
