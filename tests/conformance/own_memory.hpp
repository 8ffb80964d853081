#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/memory.hpp>
#include <eigenformer/block/residual.hpp>
#include <eigenformer/core/block.hpp>
#include <eigenformer/core/tokens.hpp>

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

}  // namespace conformance
