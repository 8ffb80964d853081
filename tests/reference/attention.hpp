#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <vector>

namespace reference {

/// Whether query row `query` of batch `batch` may attend to key row `key`.
using Mask = std::function<bool(long batch, long query, long key)>;

inline Mask no_mask() {
  return [](long, long, long) { return true; };
}
/// Query s sees the keys up to s + shift: shift 0 is aligned top-left, T - S bottom-right.
inline Mask causal_mask(long shift) {
  return [shift](long, long query, long key) { return key <= query + shift; };
}
/// Batch b sees its first lengths[b] keys.
inline Mask padding_mask(const std::vector<long>& lengths) {
  return [lengths](long batch, long, long key) { return key < lengths.at(static_cast<std::size_t>(batch)); };
}
/// Query s stands at key s + shift, and sees `left` keys before that one and `right` behind it, -1 is all of them.
inline Mask window_mask(long shift, long left, long right) {
  return [=](long, long query, long key) {
    const long own = query + shift;
    return (left < 0 || key >= own - left) && (right < 0 || key <= own + right);
  };
}
/// Query s stands at key s + shift, and sees that one, every stride-th before it and the last `local` up to it (Child et
/// al. 2019, "Sparse Transformers").
inline Mask strided_mask(long shift, long stride, long local) {
  return [=](long, long query, long key) {
    const long before = query + shift - key;
    return before >= 0 && (before % stride == 0 || before < local);
  };
}
/// Queries and keys of the same sequence see each other where `inside` says so, which is given the offsets of the
/// sequence and the query and key in it.
using InsideMask = std::function<bool(long queries, long keys, long query, long key)>;
inline Mask packed_mask(const std::vector<long>& query_offsets, const std::vector<long>& key_offsets,
                        const InsideMask& inside) {
  return [=](long, long query, long key) {
    for (std::size_t i = 0; i + 1 < query_offsets.size(); ++i) {
      if (query < query_offsets[i] || query >= query_offsets[i + 1]) continue;
      if (key < key_offsets[i] || key >= key_offsets[i + 1]) continue;
      return inside(query_offsets[i + 1] - query_offsets[i], key_offsets[i + 1] - key_offsets[i],
                    query - query_offsets[i], key - key_offsets[i]);
    }
    return false;
  };
}
/// live[b * queries * keys + s * keys + t], of one batch for all if `batches` is 1.
inline Mask table_mask(const std::vector<char>& live, long batches, long queries, long keys) {
  return [=](long batch, long query, long key) {
    return live.at(static_cast<std::size_t>(((batches == 1 ? 0 : batch) * queries + query) * keys + key)) != 0;
  };
}
/// Blocks of the scores, row by row.
inline Mask block_mask(const std::vector<char>& live, long columns, long block_queries, long block_keys) {
  return [=](long, long query, long key) {
    return live.at(static_cast<std::size_t>(query / block_queries * columns + key / block_keys)) != 0;
  };
}
inline Mask both(const Mask& first, const Mask& second) {
  return [first, second](long batch, long query, long key) {
    return first(batch, query, key) && second(batch, query, key);
  };
}

struct AttentionOptions {
  Mask mask = no_mask();
  std::optional<double> scale = {};  ///< 1 / sqrt(dk) if not given
  double softcap = 0;                ///< scores become softcap tanh(score / softcap) (Gemma 2, section 2); 0 is none
  std::function<double(long head, long query, long key)> bias = {};  ///< added to capped scores; none if empty
  std::vector<double> sinks = {};  ///< [H], for each head the score of a key more whose value is 0; none if empty
  /// What the weight of a key is multiplied by after the softmax: 0 if it is dropped; 1 if there is no such function.
  std::function<double(long batch, long head, long query, long key)> dropout = {};
};

template <class T>
struct Attended {
  Array<T> out;          ///< [B, S, H, dv]
  Array<T> log_sum_exp;  ///< [B, H, S], -infinity for a row that sees no key
  T largest_logit = 0;   ///< largest |score| that was seen, for the tolerance
  T largest_value = 0;   ///< largest |v| that was seen, times what dropout makes of it
};

template <class T>
struct AttentionGradients {
  Array<T> dq;      ///< [B, S, H, dk]
  Array<T> dk;      ///< [B, T, Hkv, dk]
  Array<T> dv;      ///< [B, T, Hkv, dv]
  Array<T> dbias;   ///< [H, S, T], summed over B
  Array<T> dsinks;  ///< [H], summed over B and S; none without sinks
};

/// Scale q . k before the cap; `group` is the key/value head that query head h shares: consecutive query heads share
/// one (Ainslie et al. 2023).
template <class T>
T raw_score(const Array<T>& q, const Array<T>& k, long b, long s, long h, long t, const AttentionOptions& options) {
  const long group = h / (q.dimension(2) / k.dimension(2));
  const T scale = options.scale ? T(*options.scale) : 1 / std::sqrt(T(q.dimension(3)));
  T dot = 0;
  for (long d = 0; d < q.dimension(3); ++d) dot += q(b, s, h, d) * k(b, t, group, d);
  return scale * dot;
}

template <class T>
T capped(T score, const AttentionOptions& options) {
  return options.softcap == 0 ? score : T(options.softcap) * std::tanh(score / T(options.softcap));
}

/// The score that the softmax sees.
template <class T>
T final_score(T raw, long h, long s, long t, const AttentionOptions& options) {
  return capped(raw, options) + (options.bias ? T(options.bias(h, s, t)) : T(0));
}

template <class T>
T kept(long b, long h, long s, long t, const AttentionOptions& options) {
  return options.dropout ? T(options.dropout(b, h, s, t)) : T(1);
}

template <class T>
void require_attention_shapes(const Array<T>& q, const Array<T>& k, const Array<T>& v) {
  const bool fit = q.shape.size() == 4 && k.shape.size() == 4 && v.shape.size() == 4 && q.shape[0] == k.shape[0] &&
                   k.shape[0] == v.shape[0] && k.shape[1] == v.shape[1] && k.shape[2] == v.shape[2] &&
                   q.shape[3] == k.shape[3] && k.shape[2] > 0 && q.shape[2] % k.shape[2] == 0;
  if (!fit) throw std::invalid_argument("reference::attention: shapes do not fit");
}

/// out = dropout(softmax(scale q k^T)) v  over the keys that the mask lets through (Vaswani et al. 2017, equation 1). Keys and
/// values behind the mask are never read. A row that sees no key gives zeros.
///   q: [B, S, H, dk]    k: [B, T, Hkv, dk]    v: [B, T, Hkv, dv]    H a multiple of Hkv
/// With T = float this is the plain float32 code that tiled attention is compared with.
template <class T>
Attended<T> attention(const Array<T>& q, const Array<T>& k, const Array<T>& v, const AttentionOptions& options = {}) {
  require_attention_shapes(q, k, v);
  const long queries = q.dimension(1);
  const long heads = q.dimension(2);
  const long keys = k.dimension(1);
  const long heads_per_group = heads / k.dimension(2);
  Attended<T> result{Array<T>({q.dimension(0), queries, heads, v.dimension(3)}),
                     Array<T>({q.dimension(0), heads, queries}, -std::numeric_limits<T>::infinity())};
  for (long b = 0; b < q.dimension(0); ++b) {
    for (long h = 0; h < heads; ++h) {
      for (long s = 0; s < queries; ++s) {
        std::vector<long> seen;
        std::vector<T> scores;
        for (long t = 0; t < keys; ++t) {
          if (!options.mask(b, s, t)) continue;
          seen.push_back(t);
          scores.push_back(final_score(raw_score(q, k, b, s, h, t, options), h, s, t, options));
        }
        if (!options.sinks.empty()) scores.push_back(T(options.sinks.at(static_cast<std::size_t>(h))));
        if (scores.empty()) continue;
        const T maximum = *std::max_element(scores.begin(), scores.end());
        T sum = 0;
        for (const T score : scores) {
          sum += std::exp(score - maximum);
          result.largest_logit = (std::max)(result.largest_logit, std::abs(score));
        }
        for (std::size_t i = 0; i < seen.size(); ++i) {
          const T probability = std::exp(scores[i] - maximum) / sum;
          for (long e = 0; e < v.dimension(3); ++e) {
            const T value = kept<T>(b, h, s, seen[i], options) * v(b, seen[i], h / heads_per_group, e);
            result.out(b, s, h, e) += probability * value;
            result.largest_value = (std::max)(result.largest_value, std::abs(value));
          }
        }
        result.log_sum_exp(b, h, s) = maximum + std::log(sum);
      }
    }
  }
  return result;
}

/// With p = softmax(score), m what dropout multiplies by, dp_t = m_t dout . v_t and delta = sum_t p_t dp_t:
///   dv_t += m_t p_t dout,   dbias_t += p_t (dp_t - delta),   ds_t = p_t (dp_t - delta) cap'(score),   dq += scale ds_t k_t,   dk_t += scale ds_t q
/// where cap' = 1 - tanh^2 (1 without a cap). A row that sees no key has no gradient.
///   dout: [B, S, H, dv]
template <class T>
AttentionGradients<T> attention_backward(const Array<T>& q, const Array<T>& k, const Array<T>& v, const Array<T>& dout,
                                         const AttentionOptions& options = {}) {
  require_attention_shapes(q, k, v);
  const long heads_per_group = q.dimension(2) / k.dimension(2);
  const T scale = options.scale ? T(*options.scale) : 1 / std::sqrt(T(q.dimension(3)));
  const Attended<T> forward = attention(q, k, v, options);
  AttentionGradients<T> gradients{Array<T>(q.shape), Array<T>(k.shape), Array<T>(v.shape),
                                  Array<T>({q.dimension(2), q.dimension(1), k.dimension(1)}),
                                  Array<T>({static_cast<long>(options.sinks.size())})};
  for (long b = 0; b < q.dimension(0); ++b) {
    for (long h = 0; h < q.dimension(2); ++h) {
      const long group = h / heads_per_group;
      for (long s = 0; s < q.dimension(1); ++s) {
        std::vector<long> seen;
        std::vector<T> raw;
        std::vector<T> p;
        std::vector<T> dp;
        T delta = 0;
        for (long t = 0; t < k.dimension(1); ++t) {
          if (!options.mask(b, s, t)) continue;
          seen.push_back(t);
          raw.push_back(raw_score(q, k, b, s, h, t, options));
          p.push_back(std::exp(final_score(raw.back(), h, s, t, options) - forward.log_sum_exp(b, h, s)));
          dp.push_back(0);
          for (long e = 0; e < v.dimension(3); ++e) {
            const T factor = kept<T>(b, h, s, t, options);
            dp.back() += factor * dout(b, s, h, e) * v(b, t, group, e);
            gradients.dv(b, t, group, e) += factor * p.back() * dout(b, s, h, e);
          }
          delta += p.back() * dp.back();
        }
        if (!options.sinks.empty()) {
          gradients.dsinks(h) -=
              std::exp(T(options.sinks[static_cast<std::size_t>(h)]) - forward.log_sum_exp(b, h, s)) * delta;
        }
        for (std::size_t i = 0; i < seen.size(); ++i) {
          const T tanh = options.softcap == 0 ? T(0) : std::tanh(raw[i] / T(options.softcap));
          gradients.dbias(h, s, seen[i]) += p[i] * (dp[i] - delta);
          const T ds = p[i] * (dp[i] - delta) * (1 - tanh * tanh);
          for (long d = 0; d < q.dimension(3); ++d) {
            gradients.dq(b, s, h, d) += scale * ds * k(b, seen[i], group, d);
            gradients.dk(b, seen[i], group, d) += scale * ds * q(b, s, h, d);
          }
        }
      }
    }
  }
  return gradients;
}

}  // namespace reference
