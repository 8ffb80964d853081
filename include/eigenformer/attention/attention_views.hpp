#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>
#include <eigenformer/core/heads.hpp>
#include <eigenformer/core/rows.hpp>

#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// How attention's queries, keys, values and results lie in memory, from the options of `Derived`.
template <class Derived, class T>
class AttentionViews {
 protected:
  Index query_size(const AttentionExtent& e) const {
    return e.batch * e.queries * options().heads * options().head_dim;
  }
  Index key_size(const AttentionExtent& e) const { return e.batch * e.keys * options().kv_heads * options().head_dim; }
  Index value_size(const AttentionExtent& e) const {
    return e.batch * e.keys * options().kv_heads * options().value_dim;
  }
  Index result_size(const AttentionExtent& e) const {
    return e.batch * e.queries * options().heads * options().value_dim;
  }
  template <class Element>
  static auto view(Element* data, Index batch, Index length, Index heads, Index dim) {
    using View = std::conditional_t<std::is_const_v<Element>, ConstHeadsView<T>, HeadsView<T>>;
    return View(data, batch, length, heads, dim);
  }
  template <class Element>
  auto queries(const AttentionExtent& e, Element* data) const {
    return view(data, e.batch, e.queries, options().heads, options().head_dim);
  }
  template <class Element>
  auto keys(const AttentionExtent& e, Element* data) const {
    return view(data, e.batch, e.keys, options().kv_heads, options().head_dim);
  }
  template <class Element>
  auto values(const AttentionExtent& e, Element* data) const {
    return view(data, e.batch, e.keys, options().kv_heads, options().value_dim);
  }
  template <class Element>
  auto results(const AttentionExtent& e, Element* data) const {
    return view(data, e.batch, e.queries, options().heads, options().value_dim);
  }
  static RowsView<T> rows(const HeadsView<T>& x) {
    return RowsView<T>(x.data(), x.batch() * x.length(), x.length_stride(), x.length_stride());
  }
  /// Each head a row.
  static RowsView<T> head_rows(const HeadsView<T>& x) {
    return RowsView<T>(x.data(), x.batch() * x.length() * x.heads(), x.head_dim(), x.head_dim());
  }
  static ConstRowsView<T> constant(const RowsView<T>& x) { return {x.data(), x.rows(), x.features(), x.stride()}; }

 private:
  const auto& options() const { return static_cast<const Derived&>(*this).options; }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
