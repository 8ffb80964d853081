#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/parts.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Blocks of any types one after the other, y = block_n(… block_1(x)): `Sequential(LayerNorm<float>(…),
/// Linear<float>(…))`. Widths may change on the way. Parameters are named by the block's number, `1.weight`.
///   forward:   token-wise blocks: x [..., D] -> y [..., D']. With a mask behind y, x [batch, length, D] -> y [batch,
///              length, D'], and the blocks that map sequences get the mask. x and y may not overlap
///   throws what the blocks throw
template <class... Blocks>
class Sequential : public Block<Sequential<Blocks...>> {
 public:
  static_assert(sizeof...(Blocks) > 0, "Sequential: needs a block");
  static_assert((ParameterHolder<Blocks> && ...), "Sequential: every part is a block");
  using Scalar = scalar_of<std::tuple_element_t<0, std::tuple<Blocks...>>>;
  static_assert((ComputesIn<Blocks, Scalar> && ...), "Sequential: every part is of one scalar type");
  using Cache = std::tuple<typename Blocks::Cache...>;

  /// The blocks in the order in which they run.
  explicit Sequential(Blocks... given) : blocks(std::move(given)...) {}

  void forward(ConstRowsView<Scalar> x, RowsView<Scalar> y, Context& context, Cache* cache = nullptr) const
      requires(TokenwiseBlock<Blocks, Scalar>&&...) {
    const ProfileScope profile(context, "Sequential");
    run(x, y, Rows{x.rows()}, widths(x.features()), context, [&](auto i, const auto& from, const auto& to) {
      std::get<i()>(blocks).forward(from, to, context, cache ? &std::get<i()>(*cache) : nullptr);
    });
  }
  template <class Mask>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, Context& context,
               Cache* cache = nullptr) const {
    const ProfileScope profile(context, "Sequential");
    run(x, y, Sequences{x.dimension(0), x.dimension(1)}, widths(x.dimension(2)), context,
        [&](auto i, const auto& from, const auto& to) {
          const auto& block = std::get<i()>(blocks);
          auto* const keep = cache ? &std::get<i()>(*cache) : nullptr;
          if constexpr (SequenceBlock<std::remove_cvref_t<decltype(block)>, Scalar, Mask>) {
            block.forward(from, to, mask, context, keep);
          } else {
            block.forward(from, to, context, keep);
          }
        });
  }

  void backward(ConstRowsView<Scalar> dy, const Cache& cache, RowsView<Scalar> dx,
                Context& context) requires(TokenwiseBlock<Blocks, Scalar>&&...) {
    run_back(dy, dx, Rows{dy.rows()}, dx.features(), cache, context);
  }
  void backward(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx,
                Context& context) requires(!(TokenwiseBlock<Blocks, Scalar> && ...)) {
    run_back(dy, dx, Sequences{dy.dimension(0), dy.dimension(1)}, dx.dimension(2), cache, context);
  }

  template <class X>
  requires requires(const X& x) { detail::owned_like(x, Index()); }
  auto output_like(const X& x) const {
    return detail::owned_like(x, widths(ConstRowsView<Scalar>(x).features()).back());
  }

  static void members(auto& self, auto&& visit) { visit("", self.blocks); }

  std::tuple<Blocks...> blocks;  ///< the blocks in order; std::get<i>(…)

 private:
  static constexpr std::size_t count = sizeof...(Blocks);
  using Widths = std::array<Index, count>;
  template <std::size_t i>
  using At = std::integral_constant<std::size_t, i>;

  // Views of what lies between two blocks.
  struct Rows {
    Index rows;
    RowsView<Scalar> operator()(Scalar* data, Index width) const { return {data, rows, width, width}; }
    Index tokens() const { return rows; }
  };
  struct Sequences {
    Index batch;
    Index length;
    TensorView<Scalar, 3> operator()(Scalar* data, Index width) const { return {data, batch, length, width}; }
    Index tokens() const { return batch * length; }
  };

  /// Features behind each block, for an x of `features`.
  Widths widths(Index features) const {
    Widths width{};
    std::size_t i = 0;
    const auto take = [&](const auto& block) {
      if constexpr (requires { block.output_features(); }) features = block.output_features();
      width[i++] = features;
    };
    std::apply([&](const auto&... block) { (take(block), ...); }, blocks);
    return width;
  }

  /// step(i, from, to) for i = 0 .. count - 1, where what leaves step i has width[i] features.
  template <class From, class To, class Like, class Step>
  static void run(const From& x, const To& y, const Like& like, const Widths& width, Context& context,
                  const Step& step) {
    ScratchScope scope(context.scratch());
    const Index room = count > 1 ? like.tokens() * *std::max_element(width.begin(), width.end()) : 0;
    const std::array<Scalar*, 2> buffers = {scope.take<Scalar>(room), scope.take<Scalar>(room)};
    chain<0>(
        x, y, [&](auto i) { return like(buffers[i() % 2], width[i()]); }, step);
  }
  template <std::size_t i, class From, class To, class Between, class Step>
  static void chain(const From& from, const To& y, const Between& between, const Step& step) {
    if constexpr (i + 1 == count) {
      step(At<i>(), from, y);
    } else {
      const auto to = between(At<i>());
      step(At<i>(), from, to);
      chain<i + 1>(to, y, between, step);
    }
  }

  template <class From, class To, class Like>
  void run_back(const From& dy, const To& dx, const Like& like, Index features, const Cache& cache, Context& context) {
    detail::require_input(std::get<0>(blocks), features, "Sequential", "dx");
    const ProfileScope profile(context, "Sequential backward");
    Widths width = widths(features);  // what block i is given is what block i - 1 leaves
    std::reverse(width.begin(), width.end());
    std::rotate(width.begin(), width.begin() + 1, width.end());
    run(dy, dx, like, width, context, [&](auto i, const auto& from, const auto& to) {
      std::get<count - 1 - i()>(blocks).backward(from, std::get<count - 1 - i()>(cache), to, context);
    });
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
