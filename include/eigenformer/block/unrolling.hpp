#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/core/context.hpp>
#include <eigenformer/core/rows.hpp>
#include <eigenformer/core/tensor.hpp>

#include <algorithm>
#include <span>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What a recurrent net knows between two steps, or the gradient of that.
template <class T>
struct RecurrentState {
  Matrix<T> h;  ///< [batch, hidden], what it gives
  Matrix<T> c;  ///< [batch, hidden], the cells of an LSTM; empty otherwise
};

/// How a recurrent net runs over a batch of sequences.
template <class T>
struct Unrolling {
  std::span<const Index> lengths{};            ///< steps of each sequence, [batch]; all of them if empty
  const RecurrentState<T>* initial = nullptr;  ///< the state before the first step; zeros if null
  RecurrentState<T>* last = nullptr;           ///< receives the state after each sequence's last step
};

/// The gradients of the states of an Unrolling.
template <class T>
struct UnrollingGradient {
  const RecurrentState<T>* last = nullptr;  ///< of the state after the last step; zeros if null
  RecurrentState<T>* initial = nullptr;     ///< receives that of the state before the first
};

namespace detail {

/// The steps of a batch of sequences: which are there, and where their numbers lie. Rows of sequences that have ended
/// hold zeros, which `blank` put there, so that norms and products over all rows of a step find numbers.
template <class T>
struct Steps {
  Index batch;
  Index length;
  Index hidden;
  Index width;  ///< of all gates together
  std::span<const Index> lengths;
  T* gates;  ///< [batch, length, width]
  T* y;      ///< [batch, length, hidden]

  bool padded() const {
    return std::any_of(lengths.begin(), lengths.end(), [this](Index own) { return own != length; });
  }
  Index length_of(Index b) const { return lengths.empty() ? length : lengths[static_cast<std::size_t>(b)]; }
  Index longest() const { return lengths.empty() ? length : *std::max_element(lengths.begin(), lengths.end()); }
  /// Rows of a step that have to be looked at: up to the last sequence that is as long. Sorted by falling length, no
  /// sequence is looked at in vain.
  Index rows(Index t) const {
    Index count = batch;
    while (count > 0 && t >= length_of(count - 1)) --count;
    return count;
  }

  T* gates_at(Index b, Index t) const { return gates + (b * length + t) * width; }
  T* y_at(Index b, Index t) const { return y + (b * length + t) * hidden; }
  /// The rows of step t of numbers [batch, extent, features] that have to be looked at.
  RowsView<T> step(T* numbers, Index features, Index t, Index extent) const {
    return RowsView<T>(numbers + t * features, rows(t), features, extent * features);
  }

  /// Zeros in numbers [batch, extent, features] from `shift` steps behind each sequence's end.
  void blank(T* numbers, Index extent, Index features, Index shift = 0) const {
    for (Index b = 0; b < batch; ++b) {
      const Index first = length_of(b) + shift;
      if (first < extent) std::fill_n(numbers + (b * extent + first) * features, (extent - first) * features, T(0));
    }
  }
  /// body(b) for the sequences that have a step t, in parallel.
  template <class Body>
  void for_each(Index t, Context& context, const Body& body) const {
    constexpr double operations = 150;  // for each hidden feature, roughly: three sigmoids and two tanh
    const Index count = rows(t);
    context.parallel_for(count, operations * static_cast<double>(count * hidden), [&](Index b) {
      if (t < length_of(b)) body(b);
    });
  }
};

/// The same steps backward.
template <class T>
struct StepsBackward {
  const T* dy;      ///< [batch, length, hidden]
  T* dgates;        ///< [batch, length, width], of the input's shares
  T* dshares;       ///< [batch, length, width], of the shares of the step before; may be dgates
  RowsView<T> dh;   ///< [batch, hidden], of the state between two steps
  RowsView<T> dc;   ///< [batch, hidden]
  const T* before;  ///< [batch, length, hidden], h before each step
};

/// The rows of a state, or zeros in their place.
template <class T>
void copy_state(const RecurrentState<T>* state, Matrix<T> RecurrentState<T>::*part, RowsView<T> to) {
  if (state) {
    to = state->*part;
  } else {
    to.setZero();
  }
}
/// As many caches as there are steps; never fewer than there were, as what they hold would have to be allocated anew.
template <class List>
void grow(List& list, Index count) {
  if (static_cast<Index>(list.size()) < count) list.resize(static_cast<std::size_t>(count));
}
/// Row b of a view, as a vector or by its address. That a view is constant does not make its elements so.
template <class T>
T* row_of(const RowsView<T>& view, Index b) {
  return const_cast<T*>(view.data()) + b * view.stride();
}
template <class T>
const T* row_of(const ConstRowsView<T>& view, Index b) {
  return view.data() + b * view.stride();
}
template <class T>
auto vector_of(T* row, Index size) {
  using Vector = Eigen::Matrix<std::remove_const_t<T>, 1, Eigen::Dynamic>;
  return Eigen::Map<std::conditional_t<std::is_const_v<T>, const Vector, Vector>>(row, size);
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
