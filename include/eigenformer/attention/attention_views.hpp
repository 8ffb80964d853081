#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/attention_cache.hpp>
#include <eigenformer/core/heads.hpp>
#include <eigenformer/core/rows.hpp>
#include <eigenformer/core/scratch.hpp>

#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// How attention's queries, keys, values and results lie in memory, from the options of `Derived`.
template <class Derived, class T>
class AttentionViews {
 protected:
  /// Queries, keys, values and what comes of them, or the gradients of these.
  struct Heads {
    HeadsView<T> queries;
    HeadsView<T> keys;
    HeadsView<T> values;
    HeadsView<T> results;
  };
  /// Uninitialised, where they are kept for backward or in scratch memory.
  Heads heads(const AttentionExtent& e, ScratchScope& scope, AttentionBuffers<T>* kept = nullptr) const {
    const auto memory = [&](Buffer<T> AttentionBuffers<T>::*buffer, Index size) {
      return kept ? (kept->*buffer).resize(size) : scope.take<T>(size);
    };
    return {queries(e, memory(&AttentionBuffers<T>::queries, query_size(e))),
            keys(e, memory(&AttentionBuffers<T>::keys, key_size(e))),
            values(e, memory(&AttentionBuffers<T>::values, value_size(e))),
            results(e, memory(&AttentionBuffers<T>::attended, result_size(e)))};
  }
  /// Throws unless the cache is that of a forward of these extents, in the name of the block.
  template <class Cache>
  void check_kept(const Cache& kept, const AttentionExtent& e) const {
    require_shape({kept.extent.batch, kept.extent.queries, kept.extent.keys}, {e.batch, e.queries, e.keys},
                  Derived::block, "the batch, queries and keys of forward");
    require<ValueError>(kept.queries.size() == query_size(e) && kept.keys.size() == key_size(e) &&
                            kept.values.size() == value_size(e) && kept.attended.size() == result_size(e),
                        Derived::block, "expected the cache of a forward of this block");
  }

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

  static void add(T* to, const T* from, Index size) {
    Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>(to, size) +=
        Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>>(from, size);
  }

 private:
  const auto& options() const { return static_cast<const Derived&>(*this).options; }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
