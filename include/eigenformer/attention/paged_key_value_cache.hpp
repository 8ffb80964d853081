#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value_memory.hpp>

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
/// for what `select` keeps. A value: a copy goes its own way from there. Storage is as KeyValueCache has it.
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
template <class T, HeadStorageOf<T> Storage = T>
class PagedKeyValueCache {
 public:
  explicit PagedKeyValueCache(const PagedKeyValueCacheOptions& chosen)
      : options_(checked(chosen)),
        memory_(1, chosen.pages * chosen.page_length, chosen),
        sequences_(static_cast<std::size_t>(chosen.sequences)) {
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
    detail::require_keys_and_values(keys, values, batch, options_, name);
    require_room(sequences, keys.length());
    for (Index b = 0; b < batch; ++b) {
      Sequence& to = sequences_[static_cast<std::size_t>(sequences[static_cast<std::size_t>(b)])];
      for (Index done = 0; done < keys.length();) {
        const Index inside = to.length % options_.page_length;
        if (inside == 0) to.pages.push_back(take());
        if (users(to.pages.back()) > 1) to.pages.back() = own_copy(to.pages.back(), inside);
        const Index count = (std::min)(keys.length() - done, options_.page_length - inside);
        memory_.write(part(keys, b, done, count), part(values, b, done, count), begin(to.pages.back()) + inside);
        done += count;
        to.length += count;
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
        const Index end = (std::min)(begin(static_cast<Index>(last)), sequence.length);
        selection_.segments.push_back(
            memory_.segment(begin(sequence.pages[first]), end - begin(static_cast<Index>(first))));
      }
      if (sequence.pages.empty()) selection_.segments.push_back(memory_.segment(0, 0));
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

  /// The first position of a page.
  Index begin(Index page) const { return page * options_.page_length; }
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
  /// A page of one's own with the first `count` positions of a shared one.
  Index own_copy(Index shared, Index count) {
    const Index page = take();
    memory_.copy({0, begin(shared)}, {0, begin(page)}, count);
    release(shared);
    return page;
  }
  /// Some positions of one batch.
  static ConstHeadsView<T> part(const ConstHeadsView<T>& x, Index batch, Index first, Index count) {
    return {x.at(batch, first, 0), 1, count, x.heads(), x.head_dim(), 0, x.length_stride(), x.head_stride()};
  }
  static const PagedKeyValueCacheOptions& checked(const PagedKeyValueCacheOptions& chosen) {
    require_positive(chosen.sequences, name, "sequences");
    require<OptionError>(chosen.pages >= 0, name, "expected pages of at least 0, got ", chosen.pages);
    require_positive(chosen.page_length, name, "page_length");
    detail::require_key_value_heads(chosen, name);
    return chosen;
  }

  PagedKeyValueCacheOptions options_;
  detail::KeyValueMemory<T, Storage> memory_;
  std::vector<Sequence> sequences_;
  std::vector<Index> users_;  ///< of each page
  std::vector<Index> free_;
  PagedSelection<T> selection_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
