#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/paged_sequences.hpp>

#include <utility>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

template <class T, HeadStorageOf<T> Storage = T>
class PagedKeyValues;

/// Some sequences of PagedKeyValues, to go on with in all layers: what stands in Stack for a cache for each layer.
template <class T, HeadStorageOf<T> Storage = T>
class SelectedKeyValues {
 public:
  /// Neither is owned.
  SelectedKeyValues(PagedKeyValues<T, Storage>& all, std::span<const Index> sequences)
      : all_(&all), sequences_(sequences) {}

  /// Number of layers.
  std::size_t size() const { return all_->layers_.size(); }
  /// Those of one layer.
  PagedSequences<T, Storage> operator[](std::size_t layer) const { return {all_->layers_[layer], sequences_}; }
  /// Which they are.
  std::span<const Index> sequences() const { return sequences_; }
  /// Positions of a sequence so far.
  Index length(Index sequence) const { return all_->length(sequence); }
  /// Throws ValueError unless these are different sequences and there is room for `count` more positions of each.
  void require_room(Index count) const { all_->require_room(sequences_, count); }

 private:
  PagedKeyValues<T, Storage>* all_;
  std::span<const Index> sequences_;
};

/// Keys and values of all layers of a model for many sequences of different length: a PagedKeyValueCache for each layer,
/// in which a sequence has the same number everywhere. A value: a copy goes its own way from there.
///   throws OptionError without a layer and for layers that are not alike, ValueError for a sequence that there is not or
///   that is named twice, and where sequences or pages run out; what throws changes no layer
/// @code
/// ef::LlamaDecoder<float> model({.vocabulary = 97, .dim = 64, .layers = 2, .heads = 4}, ef::Random(42));
/// ef::PagedKeyValues<float> key_values = model.paged_key_values({.sequences = 2, .pages = 8});
/// const std::vector<std::int32_t> prompt = {5, 17, 3}, next = {11, 13};
/// ef::Matrix<float> one(1, 97), both(2, 97);
/// ef::Context context;
/// const ef::Index first[] = {key_values.add()};
/// model.next_logits(prompt, one, key_values, first, context);
/// const ef::Index sequences[] = {first[0], key_values.fork(first[0])};  // both begin with the prompt, stored once
/// model.next_logits(ef::TokensView(next.data(), {2, 1}), both, key_values, sequences, context);
/// @endcode
template <class T, HeadStorageOf<T> Storage>
class PagedKeyValues {
 public:
  /// From the options of each layer, which differ in nothing but the sizes of heads.
  explicit PagedKeyValues(const std::vector<PagedKeyValueCacheOptions>& layers)
      : layers_(checked(layers).begin(), layers.end()) {}

  Index free_pages() const { return layers_.front().free_pages(); }
  Index length(Index sequence) const { return layers_.front().length(sequence); }
  /// Makes an empty sequence and returns its number.
  Index add() {
    return in_all([](auto& layer) { return layer.add(); });
  }
  /// Makes a sequence that begins with all that the other has, and returns its number.
  Index fork(Index other) {
    return in_all([other](auto& layer) { return layer.fork(other); });
  }
  /// Forgets a sequence; pages that no other shares are free again.
  void remove(Index sequence) {
    in_all([sequence](auto& layer) { return layer.remove(sequence), sequence; });
  }
  /// Throws ValueError unless these are different sequences and there is room for `count` more positions of each.
  void require_room(std::span<const Index> sequences, Index count) const {
    layers_.front().require_room(sequences, count);
  }
  /// Some sequences, to go on with. Valid as long as this and the numbers are.
  SelectedKeyValues<T, Storage> select(std::span<const Index> sequences) { return {*this, sequences}; }

 private:
  friend SelectedKeyValues<T, Storage>;
  static constexpr std::string_view name = "PagedKeyValues";

  /// The layers are all in the same state, so that what the first does the others do too, or none.
  template <class Step>
  Index in_all(const Step& step) {
    const Index result = step(layers_.front());
    for (std::size_t i = 1; i < layers_.size(); ++i) step(layers_[i]);
    return result;
  }

  static const std::vector<PagedKeyValueCacheOptions>& checked(const std::vector<PagedKeyValueCacheOptions>& layers) {
    require<OptionError>(!layers.empty(), name, "expected at least one layer, got none");
    const PagedKeyValueCacheOptions& first = layers.front();
    for (const PagedKeyValueCacheOptions& o : layers) {
      require<OptionError>(
          o.sequences == first.sequences && o.pages == first.pages && o.page_length == first.page_length, name,
          "expected layers of the same sequences, pages and page_length, got ", first.sequences, ", ", first.pages,
          ", ", first.page_length, " and ", o.sequences, ", ", o.pages, ", ", o.page_length);
    }
    return layers;
  }

  std::vector<PagedKeyValueCache<T, Storage>> layers_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
