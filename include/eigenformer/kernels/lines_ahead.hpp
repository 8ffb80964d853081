#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/product.hpp>
#include <eigenformer/kernels/simd/target.hpp>

#include <cstdint>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// The cache lines of a matrix that is needed soon, to be asked for a few at a time between arithmetic: so reading it
/// costs no time of its own. Only strides of 1 along one index are worth it; other matrices have no lines here.
class LinesAhead {
 public:
  LinesAhead() = default;
  /// matrix: [rows, columns]
  template <class Stored>
  LinesAhead(const Operand<Stored>& matrix, Index rows, Index columns) : at_(address(matrix.data)) {
    if (matrix.row_stride != 1 && matrix.column_stride != 1) return;
    const bool by_rows = matrix.column_stride == 1;
    constexpr auto size = static_cast<Index>(sizeof(Stored));
    lines_of_run_ = ((by_rows ? columns : rows) * size + line - 2) / line + 1;  // wherever in a line a run begins
    to_next_run_ = (by_rows ? matrix.row_stride : matrix.column_stride) * size - (lines_of_run_ - 1) * line;
    left_of_run_ = lines_of_run_;
    left_ = (by_rows ? rows : columns) * lines_of_run_;
  }

  /// Lines not yet asked for.
  Index count() const { return left_; }
  /// An address in the line that is asked for next.
  std::uintptr_t next() const { return at_; }

  /// Asks for as many more, or those that are left.
  EIGENFORMER_INLINE void ask(Index lines) {
    for (; lines > 0 && left_ > 0; --lines, --left_) {
      // Into the second cache: it is used once. NOLINTNEXTLINE(performance-no-int-to-ptr): nothing is read there
      __builtin_prefetch(reinterpret_cast<const void*>(at_), 0, 2);
      if (--left_of_run_ > 0) {
        at_ += line;
      } else {
        at_ += static_cast<std::uintptr_t>(to_next_run_);
        left_of_run_ = lines_of_run_;
      }
    }
  }

 private:
  static constexpr Index line = 64;
  static std::uintptr_t address(const void* data) { return reinterpret_cast<std::uintptr_t>(data); }

  std::uintptr_t at_ = 0;  // a number, because the last line asked for may lie beyond the matrix
  Index lines_of_run_ = 0, to_next_run_ = 0, left_of_run_ = 0, left_ = 0;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
