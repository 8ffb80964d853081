#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/recurrent_weights.hpp>
#include <eigenformer/block/unrolling.hpp>
#include <eigenformer/core/buffer.hpp>
#include <eigenformer/core/concepts.hpp>
#include <eigenformer/kernels/recurrent.hpp>
#include <eigenformer/norm/no_norm.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

template <class NormOptions = NoNormOptions>
struct GruOptions {
  Index in_features = 0;
  Index hidden = 0;                                        ///< features of the state and of y
  bool bias = std::is_same_v<NormOptions, NoNormOptions>;  ///< of the projections; a norm brings its own
  NormOptions norm{};                                      ///< of all four norms
};

/// The cells of a gated recurrent unit (Cho et al. 2014), for Recurrent:
///   r, z = s(norm_i(W_ih x + b_ih) + norm_h(W_hh h + b_hh)),   the first two thirds of the rows
///   n    = tanh(norm_i'(W_in x + b_in) + r norm_h'(W_hn h + b_hn)),   the last third
///   h'   = (1 - z) n + z h
/// With LayerNorm these are the equations of Ba et al. 2016, "Layer Normalization", supplement, where z and 1 - z have
/// changed places; without a norm, PyTorch's nn.GRU, in which r multiplies what W_hn gives. Gates lie in the order
/// r, z, n.
///   input_norm, hidden_norm: over 2 hidden    input_candidate_norm, hidden_candidate_norm: over hidden
///   the rest: see RecurrentWeights    throws OptionError for features below 1
template <class T, class Norm = NoNorm<T>>
struct GruCell : RecurrentWeights<T> {
  static_assert(TokenwiseBlock<Norm, T>, "GruCell: the second argument is a norm, such as LayerNorm<T>");
  using Scalar = T;
  using Options = GruOptions<typename Norm::Options>;
  static constexpr std::string_view block = "Gru";
  static constexpr Index gates = 3;         ///< rows of the weights for each hidden feature
  static constexpr bool has_cells = false;  ///< whether its state is more than h
  /// Whether the gradient of the share of the step before is another than that of the input's.
  static constexpr bool separate_shares = true;

  struct Cache {
    typename Norm::Cache input_norm;
    typename Norm::Cache input_candidate_norm;
    std::vector<typename Norm::Cache> hidden_norm;            ///< of each step
    std::vector<typename Norm::Cache> hidden_candidate_norm;  ///< of each step
    Buffer<T> candidate_shares;                               ///< [B, L, H], what r multiplies
  };
  /// Nothing: y holds the states.
  struct Memory {};

  GruCell(const Options& options, Random random)
      : RecurrentWeights<T>({options.in_features, gates * options.hidden, options.bias}, options.hidden, block, random),
        input_norm(detail::norm_over<Norm>(2 * options.hidden, options.norm)),
        hidden_norm(input_norm),
        input_candidate_norm(detail::norm_over<Norm>(options.hidden, options.norm)),
        hidden_candidate_norm(input_candidate_norm) {}

  // What Recurrent calls, in this order.

  /// Throws ShapeError unless the norms are those of so many hidden features.
  void check(Index features) const {
    detail::require_norm_over(2 * features, input_norm, block, "input_norm");
    detail::require_norm_over(2 * features, hidden_norm, block, "hidden_norm");
    detail::require_norm_over(features, input_candidate_norm, block, "input_candidate_norm");
    detail::require_norm_over(features, hidden_candidate_norm, block, "hidden_candidate_norm");
  }

  /// Of all steps: what W_ih gives, in place.
  void normalise_input(RowsView<T> shares, Context& context, Cache* cache) const {
    const auto [gate, candidate] = parts(shares);
    input_norm.forward(gate, gate, context, cache ? &cache->input_norm : nullptr);
    input_candidate_norm.forward(candidate, candidate, context, cache ? &cache->input_candidate_norm : nullptr);
  }
  /// Of all steps, in place.
  void normalise_input_backward(RowsView<T> dshares, const Cache& cache, Context& context) {
    const auto [dgate, dcandidate] = parts(dshares);
    input_norm.backward(dgate, cache.input_norm, dgate, context);
    input_candidate_norm.backward(dcandidate, cache.input_candidate_norm, dcandidate, context);
  }

  /// Room for what backward needs of each step.
  Memory begin(const detail::Steps<T>& steps, const RecurrentState<T>*, ScratchScope&, Cache* cache) const {
    if (!cache) return {};
    detail::grow(cache->hidden_norm, steps.length);
    detail::grow(cache->hidden_candidate_norm, steps.length);
    cache->candidate_shares.resize(steps.batch * steps.length * steps.hidden);
    return {};
  }
  /// What of the last state is the cell's own.
  void end(const detail::Steps<T>&, const Memory&, RecurrentState<T>& last) const { last.c.resize(0, 0); }

  /// One step of all sequences.   share: [rows, 3 hidden], W_hh h + b_hh    before: [rows, hidden], h
  void step(const detail::Steps<T>& steps, Index t, RowsView<T> share, ConstRowsView<T> before, const Memory&,
            Context& context, Cache* cache) const {
    const auto number = static_cast<std::size_t>(t);
    const auto [gate, candidate] = parts(share);
    hidden_norm.forward(gate, gate, context, cache ? &cache->hidden_norm[number] : nullptr);
    hidden_candidate_norm.forward(candidate, candidate, context,
                                  cache ? &cache->hidden_candidate_norm[number] : nullptr);
    T* const kept = cache ? cache->candidate_shares.data() : nullptr;
    steps.for_each(t, context, [&, shares = candidate](Index b) {
      if (kept) std::copy_n(detail::row_of(shares, b), steps.hidden, kept + (b * steps.length + t) * steps.hidden);
      kernels::gru_cell<T>({.gates = steps.gates_at(b, t),
                            .recurrent = detail::row_of(share, b),
                            .before = detail::row_of(before, b),
                            .state = steps.y_at(b, t),
                            .hidden = steps.hidden},
                           context.instruction_set());
    });
  }

  /// The same step backward: from dy, dh and dc to dgates, dshares, and what of dh and dc goes past the gates.
  void step_back(const detail::Steps<T>& steps, Index t, const detail::StepsBackward<T>& back, const Cache& cache,
                 Context& context) {
    const auto number = static_cast<std::size_t>(t);
    steps.for_each(t, context, [&](Index b) {
      const Index at = b * steps.length + t;
      T* const dh = detail::row_of(back.dh, b);
      detail::vector_of(dh, steps.hidden) += detail::vector_of(back.dy + at * steps.hidden, steps.hidden);
      kernels::gru_cell_backward<T>({.gates = steps.gates_at(b, t),
                                     .before = back.before + at * steps.hidden,
                                     .recurrent = cache.candidate_shares.data() + at * steps.hidden,
                                     .dstate = dh,
                                     .doutput = nullptr,
                                     .dgates = back.dgates + at * steps.width,
                                     .drecurrent = back.dshares + at * steps.width,
                                     .dbefore = dh,
                                     .hidden = steps.hidden},
                                    context.instruction_set());
    });
    const auto [dgate, dcandidate] = parts(steps.step(back.dshares, steps.width, t, steps.length));
    hidden_norm.backward(dgate, cache.hidden_norm[number], dgate, context);
    hidden_candidate_norm.backward(dcandidate, cache.hidden_candidate_norm[number], dcandidate, context);
  }

  static void members(auto& self, auto&& visit) {
    RecurrentWeights<T>::members(self, visit);
    visit("input_norm", self.input_norm);
    visit("hidden_norm", self.hidden_norm);
    visit("input_candidate_norm", self.input_candidate_norm);
    visit("hidden_candidate_norm", self.hidden_candidate_norm);
  }

  Norm input_norm;             ///< of what the input gives to r and z
  Norm hidden_norm;            ///< of what the step before gives to r and z
  Norm input_candidate_norm;   ///< of what the input gives to n
  Norm hidden_candidate_norm;  ///< of what the step before gives to n

 private:
  /// The columns of r and z, and those of n.
  static std::pair<RowsView<T>, RowsView<T>> parts(const RowsView<T>& rows) {
    const Index third = rows.features() / gates;
    T* const data = detail::row_of(rows, 0);
    return {RowsView<T>(data, rows.rows(), 2 * third, rows.stride()),
            RowsView<T>(data + 2 * third, rows.rows(), third, rows.stride())};
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
