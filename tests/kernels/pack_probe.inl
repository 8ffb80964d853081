// SPDX-License-Identifier: MIT
// Body for pack_test.cpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

template <class T>
Index probe_panel_stride(Index columns) {
  return panel_stride<T>(columns);
}
template <class T>
Index probe_lanes() {
  return Vec<T>::lanes;
}
template <class T>
void probe_pack_panel(const Operand<T>& from, Index depth, Index columns, T* to) {
  pack_panel(from, depth, columns, to);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
