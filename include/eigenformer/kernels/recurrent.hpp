#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/kernels/simd/activation.hpp>
#include <eigenformer/kernels/simd/lanes.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// One step of the cells of one sequence. `gates` come as the input's share and leave as what the gates are.
template <class T>
struct CellRow {
  T* gates;            ///< LSTM: i, f, g, o, [4 hidden]; GRU: r, z, n, [3 hidden]
  const T* recurrent;  ///< the share of the step before, of the same shape
  const T* before;     ///< the state before: c or h, [hidden]
  T* state;            ///< the state after, [hidden]
  Index hidden;
};

/// The same step backward. `dbefore` may be `dstate`.
template <class T>
struct CellBackwardRow {
  const T* gates;      ///< what they were
  const T* before;     ///< the state before, [hidden]
  const T* recurrent;  ///< GRU: the candidate's share of the step before, [hidden]
  const T* dstate;     ///< [hidden]
  const T* doutput;    ///< LSTM: of the output gate, [hidden]
  T* dgates;           ///< of the input's share
  T* drecurrent;       ///< GRU: of the share of the step before
  T* dbefore;          ///< what goes past the gates, [hidden]
  Index hidden;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/recurrent.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// With (i, f, g, o) = gates + recurrent:  c = s(f) c_before + s(i) tanh(g), s the sigmoid; leaves s(i), s(f), tanh(g),
/// s(o) in gates.
template <class T>
void lstm_cell(const CellRow<T>& row, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, lstm_cell<T>(row));
}
/// dgates are those of i, f, g, o before their activations;  dc_before = dc s(f).
template <class T>
void lstm_cell_backward(const CellBackwardRow<T>& row, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, lstm_cell_backward<T>(row));
}

/// With (r, z, n) the gates and (r', z', n') the recurrent share:  n = tanh(n + s(r + r') n'),
/// h = n + s(z + z') (h_before - n); leaves s(r), s(z) and n in gates.
template <class T>
void gru_cell(const CellRow<T>& row, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, gru_cell<T>(row));
}
/// dgates and drecurrent are those of (r, z, n) and (r', z', n');  dh_before = dh s(z).
template <class T>
void gru_cell_backward(const CellBackwardRow<T>& row, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, gru_cell_backward<T>(row));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
