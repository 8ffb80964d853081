#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/projected_memory.hpp>
#include <eigenformer/core/sequence_labels.hpp>

#include <memory>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Of what a prefix is made for: `attention.options` says the heads and dims.
struct PrefixOptions {
  Index length = 0;  ///< positions; 0 is as if there were none
  Index kv_heads = 0;
  Index head_dim = 0;
  Index value_dim = head_dim;
  double deviation = 1;  ///< of the initial keys and values, which are normal, as in PEFT
};

/// Trained keys and values that stand before those of every sequence (Li & Liang 2021, "Prefix-Tuning", section 4): those
/// of one attention, in its key/value heads. KeyValuePrefix says how attention reads them.
///   keys: [length, kv_heads, head_dim]    values: [length, kv_heads, value_dim]
/// A prefix of length 0 has no parameters: what has one looks like what has none, to optimisers and checkpoints too.
///   throws OptionError for a negative length and heads or dims below 1, ShapeError for given keys and values that do not
///          belong together
template <class T>
struct Prefix {
  using Scalar = T;

  Prefix(const PrefixOptions& options, Random random) {
    require<OptionError>(options.length >= 0, "Prefix", "expected length of at least 0, got ", options.length);
    detail::require_key_value_heads(options, "Prefix");
    keys.value = Tensor<T, 3>(options.length, options.kv_heads, options.head_dim);
    values.value = Tensor<T, 3>(options.length, options.kv_heads, options.value_dim);
    for (T& x : keys.values()) x = static_cast<T>(options.deviation * random.normal());
    for (T& x : values.values()) x = static_cast<T>(options.deviation * random.normal());
  }
  Prefix(Tensor<T, 3> given_keys, Tensor<T, 3> given_values)
      : keys(std::move(given_keys)), values(std::move(given_values)) {
    require_shape({keys.shape()[0], keys.shape()[1], values.shape()[2]}, values.shape(), "Prefix",
                  "values for each of the keys");
  }

  Index length() const { return keys.value.dimension(0); }

  /// As attention reads it.
  KeyValuePrefix<T> view() const { return {heads(keys.value), heads(values.value)}; }
  /// The same as a segment, one of KeyValuePrefixes.
  KeyValueSegment<T> segment() const { return {view().keys, view().values}; }
  /// As attention's backward reads it and adds to the gradients of what is trained.
  TrainedPrefix<T> trained() { return {view(), keys, values}; }

  static void members(auto& self, auto&& visit) {
    if (self.length() == 0) return;  // as if there were none, by name too
    visit("keys", self.keys);
    visit("values", self.values);
  }

  Parameter<T, 3> keys;    ///< [length, kv_heads, head_dim]
  Parameter<T, 3> values;  ///< [length, kv_heads, value_dim]

 private:
  static ConstHeadsView<T> heads(const Tensor<T, 3>& x) {
    return {x.data(), 1, x.dimension(0), x.dimension(1), x.dimension(2)};
  }
};

/// Prefixes that labelled sequences choose from (Assigned), each by its name.
template <class T>
struct NamedPrefixes {
  /// One of them.
  struct Named {
    std::string name;
    Prefix<T> prefix;  ///< it
  };

  /// The prefix of that name, or nullptr.
  const Prefix<T>* find(std::string_view name) const {
    for (const Named& each : all) {
      if (each.name == name) return &each.prefix;
    }
    return nullptr;
  }
  /// Throws ValueError for a name that is empty, has dots or is there already.
  void check_new(std::string_view name) const {
    require<ValueError>(!name.empty() && name.find('.') == std::string_view::npos, "Prefix",
                        "expected a name without dots, got \"", name, '"');
    require<ValueError>(!find(name), "Prefix", "there is a prefix \"", name, "\" already");
  }
  /// Adds one.
  void add(std::string name, Prefix<T> prefix) {
    check_new(name);
    all.push_back({std::move(name), std::move(prefix)});
  }

  static void members(auto& self, auto&& visit) {
    for (auto& each : self.all) visit(std::string_view(each.name), each.prefix);
  }

  std::vector<Named> all;  ///< in the order in which they were added
};

/// An attention (MultiHeadAttention, GroupedQueryAttention, MultiQueryAttention, for itself or across) with a Prefix before
/// its keys and values: in place of the attention it goes into every layer and model, with the same options and names of
/// parameters, and prefix.keys and prefix.values besides. Made from options its prefix is of length 0, which changes no bit
/// and adds no parameter; `prefix` is public and may be set and set again, `own_prefix` makes one that fits.
/// With a key/value cache the prefix stays where it is: the cache holds the sequence alone.
/// In a batch whose sequences are labelled (Assigned), if it has `named` prefixes, each sequence has the one of that name
/// instead, or none; for inference alone.
///   throws ShapeError for a prefix of other heads or dims; what attention throws
/// @code
/// ef::Prefixed<ef::GroupedQueryAttention<float>> attention({.dim = 64, .heads = 4, .kv_heads = 2}, ef::Random(42));
/// ef::set_training(attention, ef::Training::frozen);
/// attention.prefix = attention.own_prefix(5, ef::Random(7));  // what is trained from here on
/// ef::Tensor<float, 3> x(2, 11, 64);
/// x.setZero();
/// ef::Tensor<float, 3> y = attention(x, ef::Causal{});
/// @endcode
template <class Attention>
class Prefixed : public Block<Prefixed<Attention>>, public Attention {
  using T = typename Attention::Scalar;

 public:
  using Scalar = T;
  using Options = typename Attention::Options;
  using Cache = typename Attention::Cache;
  using Block<Prefixed>::operator();
  using Block<Prefixed>::visit_parameters;
  using Block<Prefixed>::output_like;
  static constexpr bool carries_prefixes = true;  ///< how functions on models find it

  Prefixed(const Options& chosen, Random random) : Prefixed(Attention(chosen, random.split())) {}
  /// A trained attention, whose prefix is of length 0 unless one is given.
  explicit Prefixed(Attention given_attention)
      : Attention(std::move(given_attention)), prefix(own_prefix(0, Random(0))) {}
  Prefixed(Attention given_attention, Prefix<T> given_prefix)
      : Attention(std::move(given_attention)), prefix(std::move(given_prefix)) {}

  /// A prefix of the right heads and dims.
  Prefix<T> own_prefix(Index length, Random random, double deviation = 1) const {
    const auto& o = this->options;
    return Prefix<T>({length, o.kv_heads, o.head_dim, o.value_dim, deviation}, random.split());
  }

  template <AttentionMask Mask>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask, Context& context,
               Cache* cache = nullptr) const {
    forward(x, y, x, mask, context, cache);
  }
  /// Cross-attention.
  template <AttentionMask Mask>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, ConstTensorView<T, 3> memory, const Mask& mask,
               Context& context, Cache* cache = nullptr) const {
    const Attention& attention = *this;
    behind(memory.dimension(0), context,
           [&](const auto& prefixes) { attention.forward(x, y, memory, mask, prefixes, context, cache); });
  }
  /// Step by step, with any key/value cache that attention takes.
  template <AttentionMask Mask, class Store>
  requires(KeyValueStore<Store, T> || PagedStore<Store>) void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y,
                                                                      const Mask& mask, Store& key_values,
                                                                      Context& context) const {
    const Attention& attention = *this;
    behind(x.dimension(0), context,
           [&](const auto& prefixes) { attention.forward(x, y, mask, key_values, prefixes, context); });
  }
  /// Each sequence with a prefix of its own in the place of this one.
  template <AttentionMask Mask>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask, const KeyValuePrefixes<T>& prefixes,
               Context& context) const {
    Attention::forward(x, y, x, mask, prefixes, context);
  }
  template <AttentionMask Mask, class Store>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask, Store& key_values,
               const KeyValuePrefixes<T>& prefixes, Context& context) const {
    Attention::forward(x, y, mask, key_values, prefixes, context);
  }

  /// Backward of self-attention.   dy, dx: [B, S, dim]; dx may be dy
  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, Context& context) {
    Attention::backward(dy, cache, dx, prefix.trained(), context);
  }
  /// Backward of cross-attention.
  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, TensorView<T, 3> dmemory,
                Context& context) {
    Attention::backward(dy, cache, dx, dmemory, prefix.trained(), context);
  }

  /// Calls attend(prefixes) with what stands before each of `batch` sequences.
  template <class Attend>
  void behind(Index batch, Context& context, const Attend& attend) const {
    const SequenceLabels* const labels = context.labels();
    if (!labels || named.all.empty()) return attend(prefix.view());
    ScratchScope scope(context.scratch());
    KeyValueSegment<T>* const own = scope.take<KeyValueSegment<T>>(batch);
    const auto& o = this->options;
    labels->visit(batch, Attention::block, [&](std::string_view label, Index first, Index count) {
      const Prefix<T>* const chosen = named.find(label);
      const ConstHeadsView<T> no_keys(nullptr, 1, 0, o.kv_heads, o.head_dim);
      const ConstHeadsView<T> no_values(nullptr, 1, 0, o.kv_heads, o.value_dim);
      for (Index b = first; b < first + count; ++b) {
        std::construct_at(own + b, chosen ? chosen->segment() : KeyValueSegment<T>{no_keys, no_values});
      }
    });
    attend(KeyValuePrefixes<T>{{own, static_cast<std::size_t>(batch)}});
  }

  static void members(auto& self, auto&& visit) {
    Attention::members(self, visit);
    visit("prefix", self.prefix);
    visit("prefixes", self.named);
  }

  Prefix<T> prefix;          ///< of this attention
  NamedPrefixes<T> named{};  ///< that labelled sequences have in its place
};

/// Cross-attention, with a prefix, to a memory projected before.
template <class T, class Attention, class Storage, AttentionMask Mask>
void attend_to_memory(const Prefixed<Attention>& module, ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask,
                      const KeyValueCache<T, Storage>& key_values, Context& context) {
  module.behind(key_values.options().batch, context,
                [&](const auto& prefixes) { attend_to_memory<T>(module, prefixes, x, y, mask, key_values, context); });
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
