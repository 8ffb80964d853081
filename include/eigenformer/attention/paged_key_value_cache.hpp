#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value.hpp>
#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/core/buffer.hpp>

#include <algorithm>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

struct PagedKeyValueCacheOptions {
  Index sequences = 1;     ///< most sequences at a time
  Index pages = 0;         ///< of all sequences together
  Index page_length = 64;  ///< positions of a page; multiples of 64 are read fastest
  Index kv_heads = 0;
  Index head_dim = 0;
  Index value_dim = head_dim;
};

/// Keys and values of some sequences of a paged cache, as attention reads them.
template <class T>
struct PagedSelection {
  std::vector<KeyValueSegment<T>> segments;
  std::vector<Index> first_segment;  ///< [B + 1], of each sequence
  std::vector<Index> lengths;        ///< [B], keys of each sequence
};

/// Keys and values of many sequences of different length in one piece of memory that is cut into pages (Kwon et al. 2023,
/// "PagedAttention", section 4). A sequence made by `fork` shares the pages of the other, so that a common prompt is
/// stored once; who appends to a page that is shared gets a copy of it first. It allocates nothing after it is made but
/// for what `select` keeps. A value: a copy goes its own way from there.
///   keys: [B, n, kv_heads, head_dim]    values: [B, n, kv_heads, value_dim], of B sequences
///   throws OptionError for an option below 1 (pages: 0), ShapeError for keys or values that do not fit, ValueError for a
///   sequence that there is not or that is named twice, and where sequences or pages run out; what throws changes nothing
/// @code
/// ef::PagedKeyValueCache<float> cache({.sequences = 2, .pages = 8, .kv_heads = 2, .head_dim = 16});
/// const ef::Index first = cache.add();
/// ef::Tensor<float, 4> keys(1, 5, 2, 16), values(1, 5, 2, 16);
/// keys.setZero();
/// values.setZero();
/// const ef::Index sequences[] = {first};
/// cache.append(sequences, keys, values);
/// const ef::Index second = cache.fork(first);  // 5 positions, and no page more
/// @endcode
template <class T, StorageOf<T> Storage = T>
class PagedKeyValueCache {
 public:
  explicit PagedKeyValueCache(const PagedKeyValueCacheOptions& chosen)
      : options_(checked(chosen)), sequences_(static_cast<std::size_t>(chosen.sequences)) {
    keys_.resize(options_.pages * page_size(options_.head_dim));
    values_.resize(options_.pages * page_size(options_.value_dim));
    users_.assign(static_cast<std::size_t>(options_.pages), 0);
    free_.reserve(users_.size());
    for (Index page = options_.pages - 1; page >= 0; --page) free_.push_back(page);  // the first is taken first
    for (Sequence& sequence : sequences_) sequence.pages.reserve(users_.size());
  }

  const PagedKeyValueCacheOptions& options() const { return options_; }
  Index free_pages() const { return static_cast<Index>(free_.size()); }
  Index length(Index sequence) const { return at(sequence).length; }

  /// Makes an empty sequence and returns its number.
  Index add() {
    const auto unused = std::find_if(sequences_.begin(), sequences_.end(), [](const Sequence& s) { return !s.used; });
    require<ValueError>(unused != sequences_.end(), name, "expected at most ", options_.sequences,
                        " sequences, got one more");
    unused->used = true;
    return static_cast<Index>(unused - sequences_.begin());
  }
  /// Makes a sequence that begins with all that the other has, and returns its number.
  Index fork(Index other) {
    static_cast<void>(at(other));
    const Index result = add();
    Sequence& to = sequences_[static_cast<std::size_t>(result)];
    const Sequence& from = at(other);
    to.length = from.length;
    to.pages.assign(from.pages.begin(), from.pages.end());
    for (const Index page : to.pages) ++users(page);
    return result;
  }
  /// Forgets a sequence; pages that no other shares are free again.
  void remove(Index sequence) {
    static_cast<void>(at(sequence));
    Sequence& gone = sequences_[static_cast<std::size_t>(sequence)];
    for (const Index page : gone.pages) release(page);
    gone.pages.clear();
    gone.length = 0;
    gone.used = false;
  }

  /// Adds n positions to each of some sequences, after those already there.
  void append(std::span<const Index> sequences, const ConstHeadsView<T>& keys, const ConstHeadsView<T>& values) {
    const auto batch = static_cast<Index>(sequences.size());
    require_shape({batch, keys.length(), options_.kv_heads, options_.head_dim}, keys.shape(), name, "keys");
    require_shape({batch, keys.length(), options_.kv_heads, options_.value_dim}, values.shape(), name, "values");
    require_room(sequences, keys.length());
    for (Index b = 0; b < batch; ++b) {
      Sequence& to = sequences_[static_cast<std::size_t>(sequences[static_cast<std::size_t>(b)])];
      for (Index i = 0; i < keys.length(); ++i) {
        const Index inside = to.length % options_.page_length;
        if (inside == 0) to.pages.push_back(take());
        if (users(to.pages.back()) > 1) to.pages.back() = own_copy(to.pages.back(), inside);
        detail::store(one(keys, b, i), place(keys_, to.pages.back(), inside, options_.head_dim));
        detail::store(one(values, b, i), place(values_, to.pages.back(), inside, options_.value_dim));
        ++to.length;
      }
    }
  }
  /// Throws ValueError unless these are different sequences and there is room for `count` more positions of each.
  void require_room(std::span<const Index> sequences, Index count) const {
    Index needed = 0;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const Sequence& sequence = at(sequences[i]);
      require<ValueError>(std::find(sequences.begin(), sequences.begin() + static_cast<std::ptrdiff_t>(i),
                                    sequences[i]) == sequences.begin() + static_cast<std::ptrdiff_t>(i),
                          name, "expected each sequence once, got ", sequences[i], " twice");
      needed += (sequence.length + count + options_.page_length - 1) / options_.page_length -
                static_cast<Index>(sequence.pages.size());
      if (count > 0 && copies_page(sequences, i)) ++needed;
    }
    require<ValueError>(needed <= free_pages(), name, "expected room for ", count, " more positions of each of ",
                        sequences.size(), " sequences, which take ", needed, " pages, got ", free_pages(), " free");
  }

  /// Some sequences, to attend to; pages that follow each other in memory become one segment. Valid until the next
  /// `select` or `append`.
  const PagedSelection<T>& select(std::span<const Index> sequences) {
    selection_.segments.clear();
    selection_.first_segment.assign(1, 0);
    selection_.lengths.clear();
    for (const Index number : sequences) {
      const Sequence& sequence = at(number);
      for (std::size_t first = 0, last = 1; first < sequence.pages.size(); first = last++) {
        while (last < sequence.pages.size() && sequence.pages[last] == sequence.pages[last - 1] + 1) ++last;
        add_segment(sequence.pages[first],
                    (std::min)(static_cast<Index>(last) * options_.page_length, sequence.length) -
                        static_cast<Index>(first) * options_.page_length);
      }
      if (sequence.pages.empty()) add_segment(0, 0);
      selection_.first_segment.push_back(static_cast<Index>(selection_.segments.size()));
      selection_.lengths.push_back(sequence.length);
    }
    return selection_;
  }

 private:
  static constexpr std::string_view name = "PagedKeyValueCache";
  struct Sequence {
    std::vector<Index> pages;
    Index length = 0;
    bool used = false;
  };

  Index page_size(Index dim) const { return options_.page_length * options_.kv_heads * dim; }
  const Sequence& at(Index number) const {
    require<ValueError>(number >= 0 && number < options_.sequences && sequences_[static_cast<std::size_t>(number)].used,
                        name, "expected the number of a sequence that there is, got ", number);
    return sequences_[static_cast<std::size_t>(number)];
  }
  /// Whether sequence i of these, appended to one after the other, has to copy its last page: not if all others that
  /// share it have done so before.
  bool copies_page(std::span<const Index> sequences, std::size_t i) const {
    const Sequence& sequence = at(sequences[i]);
    if (sequence.length % options_.page_length == 0) return false;
    const Index page = sequence.pages.back();
    Index sharing = users_[static_cast<std::size_t>(page)];
    for (std::size_t before = 0; before < i; ++before) {
      const Sequence& other = at(sequences[before]);
      if (!other.pages.empty() && other.pages.back() == page) --sharing;
    }
    return sharing > 1;
  }
  Index& users(Index page) { return users_[static_cast<std::size_t>(page)]; }
  Index take() {
    const Index page = free_.back();
    free_.pop_back();
    users(page) = 1;
    return page;
  }
  void release(Index page) {
    if (--users(page) == 0) free_.push_back(page);
  }
  Storage* page_of(Buffer<Storage>& memory, Index page, Index dim) { return memory.data() + page * page_size(dim); }
  /// A page of one's own with the first `count` positions of a shared one.
  Index own_copy(Index shared, Index count) {
    const Index page = take();
    for (const auto& [memory, dim] : {std::pair{&keys_, options_.head_dim}, {&values_, options_.value_dim}}) {
      std::copy_n(page_of(*memory, shared, dim), count * options_.kv_heads * dim, page_of(*memory, page, dim));
    }
    release(shared);
    return page;
  }
  /// One position of one batch.
  static ConstHeadsView<T> one(const ConstHeadsView<T>& x, Index batch, Index position) {
    return {x.at(batch, position, 0), 1, 1, x.heads(), x.head_dim(), 0, 0, x.head_stride()};
  }
  HeadsView<Storage> place(Buffer<Storage>& memory, Index page, Index inside, Index dim) {
    return {page_of(memory, page, dim) + inside * options_.kv_heads * dim, 1, 1, options_.kv_heads, dim};
  }
  void add_segment(Index page, Index length) {
    const auto view = [&](const Buffer<Storage>& memory, Index dim) {
      return ConstHeadsView<Storage>(memory.data() + page * page_size(dim), 1, length, options_.kv_heads, dim);
    };
    selection_.segments.push_back({view(keys_, options_.head_dim), view(values_, options_.value_dim)});
  }
  static const PagedKeyValueCacheOptions& checked(const PagedKeyValueCacheOptions& chosen) {
    require_positive(chosen.sequences, name, "sequences");
    require<OptionError>(chosen.pages >= 0, name, "expected pages of at least 0, got ", chosen.pages);
    require_positive(chosen.page_length, name, "page_length");
    require_positive(chosen.kv_heads, name, "kv_heads");
    require_positive(chosen.head_dim, name, "head_dim");
    require_positive(chosen.value_dim, name, "value_dim");
    return chosen;
  }

  PagedKeyValueCacheOptions options_;
  Buffer<Storage> keys_;
  Buffer<Storage> values_;
  std::vector<Sequence> sequences_;
  std::vector<Index> users_;  ///< of each page
  std::vector<Index> free_;
  PagedSelection<T> selection_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
