#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/stored_heads.hpp>
#include <eigenformer/kernels/dropout_rule.hpp>
#include <eigenformer/kernels/seeded_bug.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The keys first .. last - 1 of a sequence; none if last <= first.
struct KeyRange {
  Index first = 0;  ///< the first key
  Index last = 0;   ///< the key behind the last
};

/// Keys and values that lie together: a prefix, a cache, the current tokens. Attention reads several of them side by
/// side, each stored as T, in half precision or as Int8, which are widened where they are read.
///   keys: [batch, length, kv_heads, d_k]    values: [batch, length, kv_heads, d_v]
template <class T>
struct KeyValueSegment {
  StoredHeadsView<T> keys;
  StoredHeadsView<T> values;
};

namespace kernels {

/// Which keys each query sees, of a mask that lets it see more than one run of them: bit i of word w is key 64 w + i. It
/// says so of keys between the first and the last that the query sees.
struct LiveBits {
  const std::uint64_t* data = nullptr;  ///< [B, S, words]; null: one run each
  Index words = 0;

  /// Of 64 keys from any on.
  std::uint64_t from(Index query, Index key) const {
    const std::uint64_t* const word = data + query * words + key / 64;
    const Index shift = key % 64;
    if (shift == 0) return *word;
    const std::uint64_t low = *word >> shift;
    return key / 64 + 1 == words ? low : low | word[1] << (64 - shift);
  }
};

/// What is added to the scores, laid out so that it is contiguous along a task's columns: that of column c and key t of
/// the tasks whose first query head is h lies at data[h / heads * heads_step + c + t * key_step], and may be read, though
/// not used, one vector behind the last column.
template <class T>
struct ScoreBiasRows {
  const T* data = nullptr;  ///< null: nothing is added
  Index heads = 1;          ///< query heads side by side, as tasks have them
  Index heads_step = 0;
  Index key_step = 0;

  /// From where on the biases of a task's column go with its keys.
  Index at(Index first_head, Index column) const {
    return (seeded_bug == 9 ? 0 : first_head / heads) * heads_step + column;
  }
};

/// One call of attention as the kernels see it; all shapes are checked before.
template <class T>
struct AttentionProblem {
  ConstHeadsView<T> query;                       ///< [B, S, H, d_k]
  std::span<const KeyValueSegment<T>> segments;  ///< together [B, T, Hkv, d_k] and [B, T, Hkv, d_v]
  const Index* first_segment = nullptr;  ///< [B], where each sequence has segments of its own, of one batch each
  const KeyRange* live = nullptr;        ///< [B, S], within 0 .. T
  Index kv_heads = 0;
  Index keys = 0;       ///< T
  Index value_dim = 0;  ///< d_v
  T scale = 1;          ///< factor of the scores
  T softcap = 0;        ///< 0 is none
  ScoreBiasRows<T> bias;
  LiveBits live_bits;
  DropoutRule<T> dropout;  ///< of weights

  /// Query heads that share one key/value head.
  Index group() const { return query.heads() / kv_heads; }
  const KeyRange& live_keys(Index batch, Index position) const { return live[batch * query.length() + position]; }
  /// Of which draw t drops the weight of key t.
  DropoutStream dropout_stream(Index batch, Index head, Index position) const {
    return DropoutStream::of(dropout.seed, batch, head, position);
  }
};

/// What one task works on. Query heads that share a key/value head and follow each other are columns side by side, so
/// that their keys and values are read once: column c is query c / heads of head first_head + c % heads.
struct AttentionTask {
  Index batch = 0;
  Index first_head = 0;  ///< the first of its query heads
  Index heads = 1;
  Index kv_head = 0;       ///< the key/value head that they share
  Index kv_heads = 1;      ///< key/value heads side by side from kv_head on, in decoding; the rest is of the first
  Index first_column = 0;  ///< its first column among those of all its heads
  Index columns = 0;
  KeyRange keys{};  ///< the part of the context that this task looks at

  /// The query of a column.
  Index position(Index c) const { return (first_column + c) / heads; }
  /// The query head of a column.
  Index head(Index c) const { return first_head + (first_column + c) % heads; }
  /// Of the key/value heads side by side, the task of one alone.
  AttentionTask of_head(Index i) const {
    AttentionTask result = *this;
    result.first_head += i * heads;
    result.kv_head += i;
    result.kv_heads = 1;
    return result;
  }
};

/// Rows of keys or values as they lie in memory, one for each position.
template <class T>
struct StoredRows {
  const void* data = nullptr;
  Index stride = 0;       ///< elements from a position to the next
  Index head_stride = 0;  ///< elements from a head to the next
  StoredAs storage = StoredAs::scalar;
  const T* scales = nullptr;    ///< of Int8, that of the first row
  Index scale_stride = 0;       ///< from the scale of a position to that of the next
  Index scale_head_stride = 0;  ///< from the scale of a head to that of the next

  StoredRows() = default;
  /// The rows from one position of one head on.
  StoredRows(const StoredHeadsView<T>& x, Index batch, Index position, Index head)
      : stride(x.length_stride()), head_stride(x.head_stride()), storage(x.storage()) {
    switch (storage) {
      case StoredAs::bfloat16: data = x.template at<Bfloat16>(batch, position, head); break;
      case StoredAs::float16: data = x.template at<Float16>(batch, position, head); break;
      case StoredAs::int8:
        data = x.template at<Int8>(batch, position, head);
        scales = x.scales().at(batch, position, head);
        scale_stride = x.scales().length_stride();
        scale_head_stride = x.scales().head_stride();
        break;
      default: data = x.template at<T>(batch, position, head);
    }
  }

  /// The scale of a row of a head, to multiply what comes of the row by; nothing, null, of what is stored as an S that has
  /// none.
  template <class S>
  const T* scale([[maybe_unused]] Index row, [[maybe_unused]] Index head) const {
    if constexpr (std::is_same_v<S, Int8>) {
      return scales + row * scale_stride + head * scale_head_stride;
    } else {
      return nullptr;
    }
  }
};

/// A run of at most one key tile of rows within one segment.
template <class T>
struct KeyTile {
  StoredRows<T> keys;
  StoredRows<T> values;
  Index first = 0;  ///< position in the whole sequence
  Index rows = 0;
};

/// Walks the key tiles of [range.first, range.last), which end where segments do.
template <class T>
class KeyTiles {
 public:
  /// Of the keys that one task looks at.
  KeyTiles(const AttentionProblem<T>& problem, const AttentionTask& task, KeyRange range)
      : problem_(problem),
        task_(task),
        batch_(problem.first_segment ? 0 : task.batch),
        position_(range.first),
        last_(range.last),
        segment_(problem.first_segment ? static_cast<std::size_t>(problem.first_segment[own_or_before(task.batch)])
                                       : 0) {}

  /// The next tile, of at most that many rows; false behind the last.
  bool next(KeyTile<T>& tile, Index most_rows) {
    if (position_ >= last_) return false;
    while (position_ >= begin_ + problem_.segments[segment_].keys.length()) {
      begin_ += problem_.segments[segment_].keys.length();
      ++segment_;
    }
    const KeyValueSegment<T>& segment = problem_.segments[segment_];
    const Index inside = position_ - begin_;
    // Heads that share one follow each other, and do not lie kv_heads apart.
    const Index head = seeded_bug == 14 ? task_.first_head % problem_.kv_heads : task_.kv_head;
    tile.keys = StoredRows<T>(segment.keys, batch_, inside, head);
    tile.values = StoredRows<T>(segment.values, batch_, inside, head);
    tile.first = position_;
    // Tiles begin at multiples of their size, so that where they lie does not depend on where the range begins.
    const Index to_boundary = most_rows - inside % most_rows;
    tile.rows = (std::min)({to_boundary, segment.keys.length() - inside, last_ - position_});
    position_ += tile.rows;
    return true;
  }

 private:
  static Index own_or_before(Index batch) { return seeded_bug == 15 && batch > 0 ? batch - 1 : batch; }

  const AttentionProblem<T>& problem_;
  const AttentionTask& task_;
  Index batch_;
  Index position_;
  Index last_;
  std::size_t segment_;
  Index begin_ = 0;
};

/// Where a task leaves its result. Of a context worked on in several parts, each part leaves its unnormalised rows with
/// the largest score and the sum of weights; `combine` puts them together.
template <class T>
struct AttentionResult {
  HeadsView<T> y;             ///< [B, S, H, d_v]
  T* log_sum_exp = nullptr;   ///< [B, H, S] or null
  T* part_rows = nullptr;     ///< [columns, d_v] of this task if it is one part of several, else null
  T* part_maximum = nullptr;  ///< [columns], largest scores of this part
  T* part_sum = nullptr;      ///< [columns], sums of weights of this part
  Index part_stride = 0;      ///< elements from these of a key/value head to those of the next, in decoding
  T factor = 1;               ///< of y, where weights are dropped

  /// Of the key/value heads side by side, where one leaves its own.
  AttentionResult of_head(Index i) const {
    AttentionResult result = *this;
    if (part_rows == nullptr) return result;
    result.part_rows += i * part_stride;
    result.part_maximum += i * part_stride;
    result.part_sum += i * part_stride;
    return result;
  }
  /// Where a query's goes, or null.
  T* log_sum_exp_at(Index batch, Index head, Index position) const {
    return log_sum_exp == nullptr ? nullptr : log_sum_exp + (batch * y.heads() + head) * y.length() + position;
  }
};

/// What backward is given beside the problem, and where it leaves dq.
template <class T>
struct AttentionGradient {
  ConstHeadsView<T> y;   ///< [B, S, H, d_v]
  ConstHeadsView<T> dy;  ///< [B, S, H, d_v]
  const T* log_sum_exp;  ///< [B, H, S]
  HeadsView<T> dquery;   ///< [B, S, H, d_k]
  T* dbias = nullptr;    ///< as the problem's bias of one batch lies, to be added to; null if it is not wanted
};

/// Where one task of backward leaves dk and dv, with room for one tile of keys more.
template <class T>
struct AttentionKeyGradient {
  T* dkeys;    ///< [T + key tile, d_k padded]
  T* dvalues;  ///< [T + key tile, d_v padded]
};

/// Sizes that do not depend on the instruction set: multiples of every register and tile.
inline constexpr Index attention_query_tile = 528;     ///< most columns of a task of forward
inline constexpr Index attention_gradient_tile = 192;  ///< most columns that backward works on at a time
inline constexpr Index attention_least_tile = 96;      ///< columns that a task has at least if there are so many
inline constexpr Index attention_tile_step = 48;       ///< a multiple of every panel's width
inline constexpr Index attention_key_tile = 64;
/// Keys of a tile where there are few columns, so that what lies side by side is read in long runs.
inline constexpr Index attention_decode_tile = 256;
/// Columns up to which keys and values are streamed row by row instead of being tiled.
inline constexpr Index attention_few_columns = 8;

/// Columns of which queries and sums fit the second cache: `most` up to 128 features of a key and its value together.
constexpr Index attention_columns(Index most, Index key_dim, Index value_dim) {
  const Index fitting = most * 128 / (std::max)(key_dim + value_dim, Index(128));
  return (std::max)(fitting / attention_tile_step * attention_tile_step, attention_least_tile);
}

/// Elements rounded up to a multiple of two cache lines, which is also a multiple of every tile.
constexpr Index attention_padded(Index count) { return (count + 31) / 32 * 32; }

}  // namespace kernels

}  // namespace eigenformer::inline EIGENFORMER_ABI
