#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/recurrent_weights.hpp>
#include <eigenformer/block/unrolling.hpp>
#include <eigenformer/core/buffer.hpp>
#include <eigenformer/core/concepts.hpp>
#include <eigenformer/kernels/activation.hpp>
#include <eigenformer/kernels/recurrent.hpp>
#include <eigenformer/norm/no_norm.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

template <class NormOptions = NoNormOptions>
struct LstmOptions {
  Index in_features = 0;
  Index hidden = 0;                                        ///< cells, and features of y
  bool bias = std::is_same_v<NormOptions, NoNormOptions>;  ///< of the projections; a norm brings its own
  NormOptions norm{};                                      ///< of all three norms
};

/// Where an LSTM's norm of its cells stands: between them and the output, as in Ba et al. 2016.
struct NormedOutput {};
/// Where an LSTM's norm of its cells stands: in the cells themselves, so that the next step reads them normalised, as in
/// PyTorch's benchmarks (fastrnns, LayerNormLSTMCell).
struct NormedState {};

/// The cells of a long short-term memory (Hochreiter & Schmidhuber 1997, with forget gates), for Recurrent:
///   i, f, g, o = norm_i(W_ih x + b_ih) + norm_h(W_hh h + b_hh)
///   c' = s(f) c + s(i) tanh(g),    NormedOutput: h' = s(o) tanh(norm_c(c'))
///                                  NormedState:  c' = norm_c(s(f) c + s(i) tanh(g)),  h' = s(o) tanh(c')
/// With LayerNorm and NormedOutput these are equations 20 to 22 of Ba et al. 2016, "Layer Normalization"; without a
/// norm, PyTorch's nn.LSTM. Gates lie in the order i, f, g, o.
///   input_norm, hidden_norm: over 4 hidden    cell_norm: over hidden    the rest: see RecurrentWeights
///   throws OptionError for features below 1
template <class T, class Norm = NoNorm<T>, class Place = NormedOutput>
struct LstmCell : RecurrentWeights<T> {
  static_assert(TokenwiseBlock<Norm, T>, "LstmCell: the second argument is a norm, such as LayerNorm<T>");
  static_assert(detail::one_of<Place, NormedOutput, NormedState>,
                "LstmCell: the third argument is NormedOutput or NormedState");
  using Scalar = T;
  using Options = LstmOptions<typename Norm::Options>;
  static constexpr std::string_view block = "Lstm";
  static constexpr Index gates = 4;  ///< rows of the weights for each hidden feature
  /// Whether there is a norm at all.
  static constexpr bool normalises = !std::is_same_v<Norm, NoNorm<T>>;
  static constexpr bool has_cells = true;  ///< whether its state is more than h
  /// Whether the gradient of the share of the step before is another than that of the input's.
  static constexpr bool separate_shares = normalises;

  struct Cache {
    typename Norm::Cache input_norm;
    std::vector<typename Norm::Cache> hidden_norm;  ///< of each step
    std::vector<typename Norm::Cache> cell_norm;    ///< of each step
    Buffer<T> cells;                                ///< [B, L + 1, H]
    Buffer<T> seen;                                 ///< [B, L, H], what tanh reads, where it is not the cells
  };
  /// The cells at each step of a call, and what tanh reads.
  struct Memory {
    T* cells;  ///< [B, L + 1, H], the first of them the initial ones
    T* seen;   ///< [B, L, H]
  };

  LstmCell(const Options& options, Random random)
      : RecurrentWeights<T>({options.in_features, gates * options.hidden, options.bias}, options.hidden, block, random),
        input_norm(detail::norm_over<Norm>(gates * options.hidden, options.norm)),
        hidden_norm(input_norm),
        cell_norm(detail::norm_over<Norm>(options.hidden, options.norm)) {}

  // What Recurrent calls, in this order.

  /// Throws ShapeError unless the norms are those of so many hidden features.
  void check(Index features) const {
    detail::require_norm_over(gates * features, input_norm, block, "input_norm");
    detail::require_norm_over(gates * features, hidden_norm, block, "hidden_norm");
    detail::require_norm_over(features, cell_norm, block, "cell_norm");
  }

  /// Of all steps: what W_ih gives, in place.
  void normalise_input(RowsView<T> shares, Context& context, Cache* cache) const {
    input_norm.forward(shares, shares, context, cache ? &cache->input_norm : nullptr);
  }
  /// Of all steps, in place.
  void normalise_input_backward(RowsView<T> dshares, const Cache& cache, Context& context) {
    input_norm.backward(dshares, cache.input_norm, dshares, context);
  }

  /// Room for the cells of each step, the first of which are the initial ones.
  Memory begin(const detail::Steps<T>& steps, const RecurrentState<T>* initial, ScratchScope& scope,
               Cache* cache) const {
    const Index extent = steps.length + 1;
    const Index size = steps.batch * extent * steps.hidden;
    const Index seen_size = sees_apart ? steps.batch * steps.length * steps.hidden : 0;
    const Memory memory = {cache ? cache->cells.resize(size) : scope.take<T>(size),
                           cache ? cache->seen.resize(seen_size) : scope.take<T>(seen_size)};
    if (cache) detail::grow(cache->hidden_norm, steps.length);
    if (cache) detail::grow(cache->cell_norm, steps.length);
    detail::copy_state(initial, &RecurrentState<T>::c,
                       RowsView<T>(memory.cells, steps.batch, steps.hidden, extent * steps.hidden));
    steps.blank(memory.cells, extent, steps.hidden, 1);
    return memory;
  }
  /// What of the last state is the cell's own.
  void end(const detail::Steps<T>& steps, const Memory& memory, RecurrentState<T>& last) const {
    last.c.resize(steps.batch, steps.hidden);
    for (Index b = 0; b < steps.batch; ++b) {
      std::copy_n(cell(steps, memory.cells, b, steps.length_of(b)), steps.hidden, last.c.row(b).data());
    }
  }

  /// One step of all sequences.   share: [rows, 4 hidden], W_hh h + b_hh.
  void step(const detail::Steps<T>& steps, Index t, RowsView<T> share, ConstRowsView<T>, const Memory& memory,
            Context& context, Cache* cache) const {
    const auto number = static_cast<std::size_t>(t);
    const InstructionSet set = context.instruction_set();
    const auto advance = [&](Index b) {
      kernels::lstm_cell<T>({.gates = steps.gates_at(b, t),
                             .recurrent = detail::row_of(share, b),
                             .before = cell(steps, memory.cells, b, t),
                             .state = cell(steps, memory.cells, b, t + 1),
                             .hidden = steps.hidden},
                            set);
    };
    const auto give = [&](Index b) {
      kernels::gated<Tanh, T>(seen(steps, memory.cells, memory.seen, b, t), steps.gates_at(b, t) + 3 * steps.hidden,
                              steps.y_at(b, t), steps.hidden, set);
    };
    hidden_norm.forward(share, share, context, cache ? &cache->hidden_norm[number] : nullptr);
    if constexpr (normalises) {
      steps.for_each(t, context, advance);
      const RowsView<T> cells = steps.step(memory.cells + steps.hidden, steps.hidden, t, steps.length + 1);
      const RowsView<T> normed = sees_apart ? steps.step(memory.seen, steps.hidden, t, steps.length) : cells;
      cell_norm.forward(cells, normed, context, cache ? &cache->cell_norm[number] : nullptr);
      steps.for_each(t, context, give);
    } else {
      steps.for_each(t, context, [&](Index b) {
        advance(b);
        give(b);
      });
    }
  }

  /// The same step backward: from dy, dh and dc to dgates, dshares, and what of dh and dc goes past the gates.
  void step_back(const detail::Steps<T>& steps, Index t, const detail::StepsBackward<T>& back, const Cache& cache,
                 Context& context) {
    const auto number = static_cast<std::size_t>(t);
    const InstructionSet set = context.instruction_set();
    ScratchScope scope(context.scratch());
    const auto vector = [&](auto* row) { return detail::vector_of(row, steps.hidden); };
    RowsView<T> dseen = scope.rows<T>(steps.rows(t), steps.hidden);
    const RowsView<T> doutput = scope.rows<T>(steps.rows(t), steps.hidden);
    const auto ungive = [&](Index b) {
      T* const dh = detail::row_of(back.dh, b);
      auto dh_row = vector(dh);
      dh_row += vector(back.dy + (b * steps.length + t) * steps.hidden);
      kernels::gated_backward<Tanh, T>(seen(steps, cache.cells.data(), cache.seen.data(), b, t),
                                       steps.gates_at(b, t) + 3 * steps.hidden, dh, detail::row_of(dseen, b),
                                       detail::row_of(doutput, b), steps.hidden, set);
      dh_row.setZero();
      if constexpr (in_state) vector(detail::row_of(dseen, b)) += vector(detail::row_of(back.dc, b));
    };
    const auto retreat = [&](Index b) {
      T* const dc = detail::row_of(back.dc, b);
      if constexpr (in_state) vector(dc).setZero();  // it went through the norm
      vector(dc) += vector(detail::row_of(dseen, b));
      kernels::lstm_cell_backward<T>({.gates = steps.gates_at(b, t),
                                      .before = cell(steps, cache.cells.data(), b, t),
                                      .recurrent = nullptr,
                                      .dstate = dc,
                                      .doutput = detail::row_of(doutput, b),
                                      .dgates = back.dgates + (b * steps.length + t) * steps.width,
                                      .drecurrent = nullptr,
                                      .dbefore = dc,
                                      .hidden = steps.hidden},
                                     set);
    };
    if constexpr (normalises) {
      if (steps.padded()) dseen.setZero();
      steps.for_each(t, context, ungive);
      cell_norm.backward(dseen, cache.cell_norm[number], dseen, context);
      steps.for_each(t, context, retreat);
    } else {
      steps.for_each(t, context, [&](Index b) {
        ungive(b);
        retreat(b);
      });
    }
    hidden_norm.backward(steps.step(back.dgates, steps.width, t, steps.length), cache.hidden_norm[number],
                         steps.step(back.dshares, steps.width, t, steps.length), context);
  }

  static void members(auto& self, auto&& visit) {
    RecurrentWeights<T>::members(self, visit);
    visit("input_norm", self.input_norm);
    visit("hidden_norm", self.hidden_norm);
    visit("cell_norm", self.cell_norm);
  }

  Norm input_norm;   ///< of what the input gives to the gates
  Norm hidden_norm;  ///< of what the step before gives to the gates
  Norm cell_norm;    ///< of the cells

 private:
  static constexpr bool in_state = normalises && std::is_same_v<Place, NormedState>;
  static constexpr bool sees_apart = normalises && std::is_same_v<Place, NormedOutput>;

  template <class Element>
  static Element* cell(const detail::Steps<T>& steps, Element* cells, Index b, Index t) {
    return cells + (b * (steps.length + 1) + t) * steps.hidden;
  }
  /// What tanh read at step t.
  template <class Element>
  static Element* seen(const detail::Steps<T>& steps, Element* cells, Element* apart, Index b, Index t) {
    return sees_apart ? apart + (b * steps.length + t) * steps.hidden : cell(steps, cells, b, t + 1);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
