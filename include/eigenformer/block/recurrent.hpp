#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/gru_cell.hpp>
#include <eigenformer/block/lstm_cell.hpp>
#include <eigenformer/norm/layer_norm.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A layer of recurrent cells that runs over the steps of sequences, h_t = cell(x_t, h_(t-1)), with backward through
/// time. Cell is LstmCell or GruCell, whose formulas and parameters are there. What the inputs give to the gates is one
/// product for all steps. Sequences may be of different lengths: what is beyond an end is never read with any weight,
/// and y and dx are zero there. One step is a length of 1 with the states of an Unrolling.
///   forward:   x [B, L, in] -> y [B, L, hidden], every h_t; they may not overlap
///   backward:  dy [B, L, hidden] -> dx [B, L, in]
///   throws ShapeError for tensors, states, lengths or replaced weights that do not fit, ValueError for a length that is
///          not in 0 .. L, or weights that were frozen when forward ran
/// @code
/// ef::Lstm<float> lstm({.in_features = 3, .hidden = 5}, ef::Random(42));
/// ef::Tensor<float, 3> x(2, 7, 3);  // [batch, length, features]
/// x.setZero();
/// ef::RecurrentState<float> last;
/// ef::Tensor<float, 3> y = lstm(x, ef::Unrolling<float>{.last = &last});  // [2, 7, 5], and h and c [2, 5]
/// @endcode
template <class Cell_>
class Recurrent : public Block<Recurrent<Cell_>> {
  using T = typename Cell_::Scalar;

 public:
  using Cell = Cell_;  ///< the type of its cells
  using Scalar = T;
  using Options = typename Cell::Options;
  static constexpr std::string_view block = Cell::block;
  struct Cache {
    typename Linear<T>::Cache input;  ///< of W_ih
    typename Cell::Cache cell;        ///< of the steps
    Buffer<T> gates;                  ///< [B, L, gates H]
    Buffer<T> before;                 ///< [B, L, H], h before each step
    std::vector<Index> lengths;       ///< [B], or empty if all have the same
    Index batch = 0;
    Index length = 0;
  };

  Recurrent(const Options& options, Random random) : cell(options, random.split()) {}
  explicit Recurrent(Cell given_cell) : cell(std::move(given_cell)) { check_cell(); }

  Index input_features() const { return cell.input.input_features(); }
  Index output_features() const { return cell.hidden.input_features(); }

  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, Context& context, Cache* cache = nullptr) const {
    forward(x, y, Unrolling<T>{}, context, cache);
  }
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Unrolling<T>& how, Context& context,
               Cache* cache = nullptr) const {
    check(x.shape(), y.shape(), how);
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    detail::Steps<T> steps = steps_of(x.dimension(0), x.dimension(1), how.lengths);
    const RowsView<T> gates = cache ? cache->gates.resize(steps.batch * steps.length, steps.width)
                                    : scope.rows<T>(steps.batch * steps.length, steps.width);
    steps.gates = detail::row_of(gates, 0);
    steps.y = y.data();
    cell.input.forward(without_padding(x, steps, scope), gates, context, cache ? &cache->input : nullptr);
    cell.normalise_input(gates, context, cache ? &cache->cell : nullptr);
    const RowsView<T> initial = scope.rows<T>(steps.batch, steps.hidden);
    detail::copy_state(how.initial, &RecurrentState<T>::h, initial);
    run(steps, initial, how, context, cache);
    if (cache) remember(steps, initial, *cache);
  }

  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, Context& context) {
    backward(dy, cache, dx, UnrollingGradient<T>{}, context);
  }
  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, const UnrollingGradient<T>& how,
                Context& context) {
    check(dy.shape(), dx.shape(), cache, how);
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    detail::Steps<T> steps = steps_of(cache.batch, cache.length, cache.lengths);
    steps.gates = const_cast<T*>(cache.gates.data());  // only read
    const Index count = steps.batch * steps.length;
    const RowsView<T> dgates = scope.rows<T>(count, steps.width);
    const RowsView<T> dshares = Cell::separate_shares ? scope.rows<T>(count, steps.width) : dgates;
    const Index cells = Cell::has_cells ? steps.hidden : 0;
    const detail::StepsBackward<T> back = {.dy = dy.data(),
                                           .dgates = detail::row_of(dgates, 0),
                                           .dshares = detail::row_of(dshares, 0),
                                           .dh = scope.rows<T>(steps.batch, steps.hidden),
                                           .dc = scope.rows<T>(steps.batch, cells),
                                           .before = cache.before.data()};
    steps.blank(detail::row_of(dgates, 0), steps.length, steps.width);
    steps.blank(detail::row_of(dshares, 0), steps.length, steps.width);
    detail::copy_state(how.last, &RecurrentState<T>::h, back.dh);
    if (Cell::has_cells) detail::copy_state(how.last, &RecurrentState<T>::c, back.dc);
    for (Index t = steps.longest() - 1; t >= 0; --t) {
      cell.step_back(steps, t, back, cache.cell, context);
      to_step_before(steps.step(back.dshares, steps.width, t, steps.length), back.dh, context);
    }
    if (how.initial) how.initial->h = back.dh;
    if (how.initial && Cell::has_cells) how.initial->c = back.dc;
    to_hidden_weights(dshares, cache, context);
    cell.normalise_input_backward(dgates, cache.cell, context);
    cell.input.backward(dgates, cache.input, dx, context);
  }

  static void members(auto& self, auto&& visit) { visit("", self.cell); }

  Cell cell;  ///< weights and norms

 private:
  detail::Steps<T> steps_of(Index batch, Index length, std::span<const Index> lengths) const {
    return {batch, length, output_features(), Cell::gates * output_features(), lengths, nullptr, nullptr};
  }

  void run(const detail::Steps<T>& steps, RowsView<T> initial, const Unrolling<T>& how, Context& context,
           Cache* cache) const {
    ScratchScope scope(context.scratch());
    const RowsView<T> shares = scope.rows<T>(steps.batch, steps.width);
    typename Cell::Cache* const kept = cache ? &cache->cell : nullptr;
    const auto memory = cell.begin(steps, how.initial, scope, kept);
    steps.blank(steps.y, steps.length, steps.hidden);
    for (Index t = 0; t < steps.longest(); ++t) {
      const Index rows = steps.rows(t);
      const T* const data = t == 0 ? initial.data() : steps.y_at(0, t - 1);
      const Index stride = t == 0 ? steps.hidden : steps.length * steps.hidden;
      const ConstRowsView<T> before(data, rows, steps.hidden, stride);
      const RowsView<T> share(detail::row_of(shares, 0), rows, steps.width, steps.width);
      linear<T>(before, cell.hidden.weight.value, bias(), share, context);
      cell.step(steps, t, share, before, memory, context, kept);
    }
    if (!how.last) return;
    how.last->h.resize(steps.batch, steps.hidden);
    for (Index b = 0; b < steps.batch; ++b) {
      const Index own = steps.length_of(b);
      std::copy_n(own == 0 ? detail::row_of(initial, b) : steps.y_at(b, own - 1), steps.hidden,
                  how.last->h.row(b).data());
    }
    cell.end(steps, memory, *how.last);
  }

  /// x with zeros beyond the ends, as gradients multiply it.
  static ConstRowsView<T> without_padding(ConstTensorView<T, 3> x, const detail::Steps<T>& steps, ScratchScope& scope) {
    if (!steps.padded()) return x;
    T* const copy = scope.take<T>(x.size());
    std::copy_n(x.data(), x.size(), copy);
    steps.blank(copy, steps.length, x.dimension(2));
    return ConstTensorView<T, 3>(copy, x.dimensions());
  }

  void remember(const detail::Steps<T>& steps, RowsView<T> initial, Cache& cache) const {
    cache.batch = steps.batch;
    cache.length = steps.length;
    cache.lengths.assign(steps.lengths.begin(), steps.lengths.end());
    const bool wanted = cell.hidden.weight.trainable || !Cell::has_cells;  // a GRU's own gradient asks for h
    T* const before = cache.before.resize(wanted ? steps.batch * steps.length * steps.hidden : 0);
    if (!wanted || steps.length == 0) return;
    for (Index b = 0; b < steps.batch; ++b) {
      T* const own = before + b * steps.length * steps.hidden;
      std::copy_n(detail::row_of(initial, b), steps.hidden, own);
      std::copy_n(steps.y_at(b, 0), (steps.length - 1) * steps.hidden, own + steps.hidden);
    }
  }

  /// dh += dshares W_hh
  void to_step_before(RowsView<T> dshares, RowsView<T> dh, Context& context) const {
    const auto& weight = cell.hidden.weight.value;
    kernels::gemm<T>({.rows = dshares.rows(),
                      .columns = weight.cols(),
                      .depth = weight.rows(),
                      .a = kernels::plain(detail::row_of(dshares, 0), dshares.stride()),
                      .b = kernels::plain(weight.data(), weight.cols()),
                      .c = detail::row_of(dh, 0),
                      .c_stride = dh.stride(),
                      .destination = kernels::Destination::accumulate},
                     context);
  }
  void to_hidden_weights(RowsView<T> dshares, const Cache& cache, Context& context) {
    if (cell.hidden.weight.trainable) {
      linear_backward_weight<T>(dshares, cache.before.rows(output_features()),
                                cell.hidden.weight.accumulated_gradient(), context);
    }
    if (cell.hidden.bias && cell.hidden.bias->trainable) {
      cell.hidden.bias->accumulated_gradient();
      linear_backward_bias<T>(dshares, cell.hidden.bias->gradients(), context);
    }
  }
  std::span<const T> bias() const { return cell.hidden.bias ? cell.hidden.bias->values() : std::span<const T>(); }

  /// Weights are public and may have been replaced.
  void check_cell() const {
    const Index width = Cell::gates * output_features();
    require(cell.hidden.output_features() == width && cell.input.output_features() == width, block,
            "expected weight_ih and weight_hh of ", width, " rows, ", Cell::gates, " times hidden, got ",
            cell.input.output_features(), " and ", cell.hidden.output_features());
    require(!cell.hidden.bias || cell.hidden.bias->size() == width, block, "expected bias_hh of ", width,
            " values, got ", cell.hidden.bias ? cell.hidden.bias->size() : 0);
    cell.check(output_features());
  }
  void check_state(const RecurrentState<T>* state, Index batch, std::string_view name) const {
    if (!state) return;
    const Shape expected = {batch, output_features()};
    require(expected == Shape({state->h.rows(), state->h.cols()}), block, "expected h of the ", name, " of shape ",
            expected, ", got [", state->h.rows(), ", ", state->h.cols(), "]");
    require(!Cell::has_cells || expected == Shape({state->c.rows(), state->c.cols()}), block, "expected c of the ",
            name, " of shape ", expected, ", got [", state->c.rows(), ", ", state->c.cols(), "]");
  }
  void check(const Shape& x, const Shape& y, const Unrolling<T>& how) const {
    check_cell();
    require_features(input_features(), x, block);
    require_shape({x[0], x[1], output_features()}, y, block, "y");
    require(how.lengths.empty() || static_cast<Index>(how.lengths.size()) == x[0], block,
            "expected one length for each of ", x[0], " sequences, got ", how.lengths.size());
    for (const Index own : how.lengths) {
      require<ValueError>(own >= 0 && own <= x[1], block, "expected lengths in 0 .. ", x[1], ", got ", own);
    }
    check_state(how.initial, x[0], "initial state");
  }
  void check(const Shape& dy, const Shape& dx, const Cache& cache, const UnrollingGradient<T>& how) const {
    check_cell();
    require_shape({cache.batch, cache.length, output_features()}, dy, block, "dy");
    require_shape({cache.batch, cache.length, input_features()}, dx, block, "dx");
    const Index count = cache.batch * cache.length;
    require<ValueError>(cache.gates.size() == count * Cell::gates * output_features(), block,
                        "expected the cache of a forward of this block");
    require<ValueError>(!cell.hidden.weight.trainable || cache.before.size() == count * output_features(), block,
                        "expected the states of forward in the cache, but weight_hh was frozen then");
    check_state(how.last, cache.batch, "last state's gradient");
  }
};

/// A long short-term memory, PyTorch's nn.LSTM of one layer and one direction; with a norm, as the formula of LstmCell.
template <class T, class Norm = NoNorm<T>, class Place = NormedOutput>
using Lstm = Recurrent<LstmCell<T, Norm, Place>>;
/// A gated recurrent unit, PyTorch's nn.GRU of one layer and one direction; with a norm, as the formula of GruCell.
template <class T, class Norm = NoNorm<T>>
using Gru = Recurrent<GruCell<T, Norm>>;
/// The layer-normalised LSTM of Ba et al. 2016, "Layer Normalization".
template <class T>
using LayerNormLstm = Lstm<T, LayerNorm<T>>;
/// The layer-normalised LSTM of PyTorch's benchmarks, whose cells are normalised themselves.
template <class T>
using LayerNormStateLstm = Lstm<T, LayerNorm<T>, NormedState>;
/// The layer-normalised GRU of Ba et al. 2016, "Layer Normalization".
template <class T>
using LayerNormGru = Gru<T, LayerNorm<T>>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
