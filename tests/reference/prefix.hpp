#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"
#include "reference/attention.hpp"
#include "reference/model.hpp"
#include "reference/rotary.hpp"

#include <cstddef>
#include <vector>

namespace reference {

/// [prefix; x] along the positions, for every sequence of a batch.   prefix: [P, H, d]    x: [B, T, H, d]
template <class T>
Array<T> behind(const Array<T>& prefix, const Array<T>& x) {
  const long length = prefix.dimension(0);
  Array<T> whole({x.dimension(0), length + x.dimension(1), x.dimension(2), x.dimension(3)});
  for (long b = 0; b < whole.dimension(0); ++b) {
    for (long t = 0; t < whole.dimension(1); ++t) {
      for (long h = 0; h < whole.dimension(2); ++h) {
        for (long d = 0; d < whole.dimension(3); ++d) {
          whole(b, t, h, d) = t < length ? prefix(t, h, d) : x(b, t - length, h, d);
        }
      }
    }
  }
  return whole;
}

/// A mask of the sequence alone, behind a prefix that every query sees.
inline Mask behind_mask(long length, const Mask& own) {
  return [length, own](long batch, long query, long key) { return key < length || own(batch, query, key - length); };
}

/// Attention with projections in which the keys and values of a prefix stand before those of the context (Li & Liang 2021,
/// section 4); queries and keys turn from position P on, the prefix does not.
///   prefix_keys: [P, Hkv, dk]    prefix_values: [P, Hkv, dv]    the mask is that of the context alone
template <class T>
Array<T> prefixed_attention(const Array<T>& x, const Array<T>& context, const Array<T>& prefix_keys,
                            const Array<T>& prefix_values, const AttentionWeights<T>& weights,
                            AttentionModuleOptions options) {
  const auto split = [](const Array<T>& rows, long heads) {
    return rows.reshaped({rows.dimension(0), rows.dimension(1), heads, rows.dimension(2) / heads});
  };
  const long length = prefix_keys.dimension(0);
  Array<T> q = split(weights.query(x), options.heads);
  Array<T> k = split(weights.key(context), options.kv_heads);
  const Array<T> v = split(weights.value(context), options.kv_heads);
  if (options.rotary) {
    options.rotary->offset = length;
    q = rotary(q, *options.rotary);
    k = rotary(k, *options.rotary);
  }
  options.attention.mask = behind_mask(length, options.attention.mask);
  const Array<T> attended = attention(q, behind(prefix_keys, k), behind(prefix_values, v), options.attention).out;
  return weights.output(
      attended.reshaped({x.dimension(0), x.dimension(1), attended.dimension(2) * attended.dimension(3)}));
}

}  // namespace reference
