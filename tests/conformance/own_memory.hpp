#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/memory.hpp>
#include <eigenformer/block/residual.hpp>
#include <eigenformer/core/block.hpp>
#include <eigenformer/core/tokens.hpp>
#include <eigenformer/linear/embedding.hpp>

#include <utility>

namespace conformance {

namespace ef = eigenformer;

/// A layer with cross-attention as a block that reads x alone: x is the memory too.
template <class Layer>
class OwnMemory : public ef::Block<OwnMemory<Layer>> {
 public:
  using Scalar = typename Layer::Scalar;
  using Cache = typename Layer::Cache;

  explicit OwnMemory(Layer given) : layer(std::move(given)) {}

  template <class Mask>
  void forward(ef::ConstTensorView<Scalar, 3> x, ef::TensorView<Scalar, 3> y, const Mask& mask, ef::Context& context,
               Cache* cache = nullptr) const {
    layer.forward(x, y, mask, ef::Memory{x, ef::NoMask{}}, context, cache);
  }
  void backward(ef::ConstTensorView<Scalar, 3> dy, const Cache& cache, ef::TensorView<Scalar, 3> dx,
                ef::Context& context) {
    ef::ScratchScope scope(context.scratch());
    const ef::TensorView<Scalar, 3> dmemory(scope.take<Scalar>(dx.size()), dx.dimensions());
    layer.backward(dy, cache, dx, dmemory, context);
    ef::residual<Scalar>(dx, dmemory, dx, context);
  }

  static void members(auto& self, auto&& visit) { visit("", self.layer); }

  Layer layer;
};

/// An encoder-decoder as a block that reads one sequence: what it writes is what it reads.
template <class Model>
class OwnSource : public ef::Block<OwnSource<Model>> {
 public:
  using Scalar = typename Model::Scalar;
  using Cache = typename Model::Cache;

  explicit OwnSource(Model given) : model(std::move(given)) {}

  void forward(ef::TokensView tokens, ef::RowsView<Scalar> logits, ef::Context& context, Cache* cache = nullptr) const {
    model.forward(tokens, logits, tokens, context, cache);
  }
  void backward(ef::ConstRowsView<Scalar> dlogits, const Cache& cache, ef::Context& context) {
    model.backward(dlogits, cache, context);
  }
  template <class Tokens>
  auto output_like(const Tokens& tokens) const {
    return model.output_like(tokens);
  }

  static void members(auto& self, auto&& visit) { visit("", self.model); }

  Model model;
};

/// What makes a table out of nothing, such as PrefixMlp, as a block that reads tokens: y is the table's row of each.
template <class Table>
class LookedUp : public ef::Block<LookedUp<Table>> {
 public:
  using Scalar = typename Table::Scalar;
  struct Cache {
    typename Table::Cache table;
    ef::Buffer<ef::TokensView::Token> tokens;
  };

  explicit LookedUp(Table given) : table(std::move(given)) {}

  void forward(ef::TokensView tokens, ef::RowsView<Scalar> y, ef::Context& context, Cache* cache = nullptr) const {
    ef::require_shape({tokens.size(), table.output_features()}, {y.rows(), y.features()}, "LookedUp", "y");
    ef::ScratchScope scope(context.scratch());
    const ef::RowsView<Scalar> rows = scope.rows<Scalar>(table.length(), table.output_features());
    table.forward(rows, context, cache ? &cache->table : nullptr);
    ef::embedding<Scalar>(tokens, rows, y, context);
    if (cache) std::copy_n(tokens.data(), tokens.size(), cache->tokens.resize(tokens.size()));
  }
  void backward(ef::ConstRowsView<Scalar> dy, const Cache& cache, ef::Context& context) {
    ef::require_shape({cache.tokens.size(), table.output_features()}, {dy.rows(), dy.features()}, "LookedUp", "dy");
    ef::ScratchScope scope(context.scratch());
    ef::RowsView<Scalar> drows = scope.rows<Scalar>(table.length(), table.output_features());
    drows.setZero();
    ef::embedding_backward<Scalar>(cache.tokens.values(), dy, drows, context);
    table.backward(drows, cache.table, context);
  }
  auto output_like(const ef::Tensor<ef::TokensView::Token, 2>& tokens) const {
    return ef::Tensor<Scalar, 3>(tokens.dimension(0), tokens.dimension(1), table.output_features());
  }

  static void members(auto& self, auto&& visit) { visit("", self.table); }

  Table table;
};

}  // namespace conformance
