#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_adapter.hpp>
#include <eigenformer/core/block.hpp>
#include <eigenformer/core/random.hpp>

#include <string_view>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The named adapters of one base, which are added, switched, weighted, merged and removed while the program runs. The
/// layer computes, whatever is merged,
///   base + sum over adapters that are not idle of weight_i (adapted_i - base)
/// or for each sequence of a batch the one adapter assigned to it, idle or not (Assigned).
///
/// Merging puts the sum into the base's weight, which is then as fast as the base alone. The original weight is set aside
/// as it is, and the weight is computed from it anew whenever the set of merged adapters changes, in the order in which
/// adapters were added: so the order of merging does not matter, nothing drifts, and when the last adapter is unmerged
/// the original comes back with every bit. That takes the memory of the weight once more while something is merged.
///   merge      throws ValueError for an adapter that is idle or merged already, or if a number of an adapter or of the
///              merged weight is not finite; OptionError for a base without a weight to merge into; before the first write
///   unmerge    throws ValueError for what is not merged
///   others     throw ValueError for a name that is not there, one that is there twice, or an adapter that is merged
/// Derived: the Lora, which knows shapes and products. Stored: what the base's weight is stored as.
template <class Derived, class T, class Stored>
class LoraAdapters {
 public:
  static constexpr bool carries_adapters = true;  ///< how functions on models find it

  /// Number of adapters.
  std::size_t adapter_count() const { return entries_.size(); }
  /// The i-th in the order in which they were added.
  const LoraAdapter<T>& adapter(std::size_t i) const { return entries_.at(i).adapter; }
  /// The adapter of that name.
  LoraAdapter<T>& adapter(std::string_view name) { return entries_[position(name)].adapter; }
  /// The same to read.
  const LoraAdapter<T>& adapter(std::string_view name) const { return entries_[position(name)].adapter; }
  /// Whether there is one of that name.
  bool has_adapter(std::string_view name) const { return find(name) < entries_.size(); }
  /// What it does in forward.
  AdapterState state(std::string_view name) const { return entries_[position(name)].state; }
  /// How much of it is added.
  double adapter_weight(std::string_view name) const { return entries_[position(name)].weight; }
  /// Whether any adapter is active or merged.
  bool adapted() const {
    return std::any_of(entries_.begin(), entries_.end(),
                       [](const Entry& entry) { return entry.state != AdapterState::idle; });
  }
  /// Whether the base's weight has any adapter in it.
  bool merged() const { return original_.has_value(); }
  /// The base's weight without adapters.
  const Matrix<Stored>& original() const { return original_ ? *original_ : self().base.weight.value; }

  /// Adds an adapter of given weights, which is active from now on, and freezes the base.
  void add(LoraAdapter<T> adapter) {
    require_new(adapter.name);
    self().check(adapter);
    entries_.push_back({.adapter = std::move(adapter)});
    set_training(self().base, Training::frozen);
  }
  /// Throws what adding an adapter of that name and these options would throw.
  void check_add(std::string_view name, const LoraOptions& options) const {
    require_new(name);
    self().check(options);
  }
  /// Makes those active and all others idle.
  void activate(std::span<const std::string_view> names) {
    for (const std::string_view name : names) position(name);
    const auto named = [&](const Entry& entry) {
      return std::find(names.begin(), names.end(), entry.adapter.name) != names.end();
    };
    for (const Entry& entry : entries_) {
      if (!named(entry)) require_not_merged(entry, "made idle");
    }
    for (Entry& entry : entries_) {
      if (entry.state != AdapterState::merged) entry.state = named(entry) ? AdapterState::active : AdapterState::idle;
    }
  }
  /// The same of names in braces.
  void activate(std::initializer_list<std::string_view> names) { activate(std::span(names.begin(), names.size())); }
  /// How much of the adapter is added: 1 at first, 0 for nothing.
  void set_adapter_weight(std::string_view name, double weight) {
    Entry& entry = entries_[position(name)];
    require_not_merged(entry, "weighted");
    const bool representable =
        kernels::is_finite(weight) && std::abs(weight) * entry.adapter.scale() <= (std::numeric_limits<float>::max)();
    require<ValueError>(representable, Derived::block, "expected a weight of \"", name,
                        "\" whose product with the scale is a number of float, got ", weight);
    entry.weight = weight;
  }
  /// Takes an adapter out and returns it.
  LoraAdapter<T> remove(std::string_view name) {
    const std::size_t i = position(name);
    require_not_merged(entries_[i], "removed");
    LoraAdapter<T> adapter = std::move(entries_[i].adapter);
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
    return adapter;
  }

  /// Merges one active adapter.
  void merge(std::string_view name) { set_states(with(mergeable(name), AdapterState::merged)); }
  /// Merges every active adapter.
  void merge() { set_states(all_merged()); }
  /// Takes one adapter out of the weight.
  void unmerge(std::string_view name) {
    const std::size_t i = position(name);
    require<ValueError>(entries_[i].state == AdapterState::merged, Derived::block, "adapter \"", name,
                        "\" is not merged");
    set_states(with(i, AdapterState::active));
  }
  /// Takes every adapter out of the weight.
  void unmerge() {
    require<ValueError>(merged(), Derived::block, "no adapter is merged");
    States states = current();
    std::replace(states.begin(), states.end(), AdapterState::merged, AdapterState::active);
    set_states(states);
  }
  /// Throws what merge() would throw, and writes nothing.
  void check_merge() const { merged_weight(all_merged()); }
  /// Throws what merge(name) would throw, and writes nothing.
  void check_merge(std::string_view name) const { merged_weight(with(mergeable(name), AdapterState::merged)); }

  /// Calls visit(name, adapter) for each.
  static void visit_adapters(auto& layer, auto&& visit) {
    for (auto& entry : layer.entries_) visit(std::string_view(entry.adapter.name), entry.adapter);
  }

 protected:
  /// An adapter and what it does.
  struct Entry {
    LoraAdapter<T> adapter;                     ///< its weights
    AdapterState state = AdapterState::active;  ///< what it does
    double weight = 1;
  };
  /// All of them, in the order in which they were added.
  const std::vector<Entry>& entries() const { return entries_; }
  /// The same to write.
  std::vector<Entry>& entries() { return entries_; }
  /// Throws unless all, which are public and may have been replaced, fit the base, and a batch of so many rows can be one
  /// of the labelled sequences, if there are any.
  void check_adapters(Index rows, const Context& context) const {
    for (const Entry& entry : entries_) self().check(entry.adapter);
    if (entries_.empty() || !context.labels()) return;
    require<ValueError>(!merged(), Derived::block, "an adapter is merged, and labelled sequences each have their own");
    context.labels()->visit(rows, Derived::block, [](std::string_view, Index, Index) {});
  }
  /// The rows of a batch of `rows` rows to which an adapter is to be applied.   memory: of the scope
  RowRuns rows_of(const Entry& entry, Index rows, const Context& context, ScratchScope& scope) const {
    if (const SequenceLabels* const labels = context.labels()) {
      RowRun* const memory = scope.take<RowRun>(static_cast<Index>(labels->labels.size()));
      return runs_of(*labels, entry.adapter.name, rows, memory, Derived::block);
    }
    if (entry.state != AdapterState::active) return {};
    RowRun* const all = scope.take<RowRun>(1);
    *all = {0, rows};
    return {all, 1};
  }
  /// Notes in a cache what each does, and returns whether one that is applied trains its A.
  template <class Cache>
  bool remember(std::vector<Cache>& kept, Index rows, Context& context) const {
    kept.resize(entries_.size());
    bool trains = false;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      ScratchScope scope(context.scratch());
      const RowRuns runs = rows_of(entries_[i], rows, context, scope);
      kept[i].state = entries_[i].state;
      std::copy(runs.begin(), runs.end(), kept[i].rows.resize(static_cast<Index>(runs.size())));
      trains = trains || (!runs.empty() && entries_[i].adapter.a.trainable);
    }
    return trains;
  }
  /// Throws unless they do what they did in forward and complete(i), of each that was applied, all that it needs was kept.
  template <class Cache, class Complete>
  void require_remembered(const std::vector<Cache>& kept, const Complete& complete) const {
    require<ValueError>(kept.size() == entries_.size(), Derived::block, "expected the ", kept.size(),
                        " adapters of forward, got ", entries_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      const bool same = (kept[i].state == AdapterState::active) == (entries_[i].state == AdapterState::active);
      require<ValueError>(same, Derived::block, "adapter \"", entries_[i].adapter.name,
                          "\" was switched or merged after forward");
      require<ValueError>(kept[i].rows.size() == 0 || complete(i), Derived::block, "expected what adapter \"",
                          entries_[i].adapter.name, "\" read in the cache, but it was frozen in forward");
    }
  }

 private:
  using States = std::vector<AdapterState>;

  Derived& self() { return static_cast<Derived&>(*this); }
  const Derived& self() const { return static_cast<const Derived&>(*this); }
  std::size_t find(std::string_view name) const {
    std::size_t i = 0;
    while (i < entries_.size() && entries_[i].adapter.name != name) ++i;
    return i;
  }
  std::size_t position(std::string_view name) const {
    const std::size_t i = find(name);
    require<ValueError>(i < entries_.size(), Derived::block, "there is no adapter \"", name, '"');
    return i;
  }
  void require_new(std::string_view name) const {
    require<ValueError>(!name.empty() && name.find('.') == std::string_view::npos, Derived::block,
                        "expected a name of an adapter without dots, got \"", name, '"');
    require<ValueError>(!has_adapter(name), Derived::block, "there is an adapter \"", name, "\" already");
  }
  static void require_not_merged(const Entry& entry, std::string_view what) {
    require<ValueError>(entry.state != AdapterState::merged, Derived::block, "adapter \"", entry.adapter.name,
                        "\" is merged and cannot be ", what, " before it is unmerged");
  }

  States current() const {
    States states;
    for (const Entry& entry : entries_) states.push_back(entry.state);
    return states;
  }
  States with(std::size_t i, AdapterState state) const {
    States states = current();
    states[i] = state;
    return states;
  }
  std::size_t mergeable(std::string_view name) const {
    const std::size_t i = position(name);
    require_not_merged(entries_[i], "merged");
    require<ValueError>(entries_[i].state == AdapterState::active, Derived::block, "adapter \"", name,
                        "\" is idle and cannot be merged");
    return i;
  }
  States all_merged() const {
    States states = current();
    const bool any = std::find(states.begin(), states.end(), AdapterState::active) != states.end();
    require<ValueError>(any, Derived::block, "there is no active adapter to merge",
                        merged() ? ": what is active is merged already" : "");
    std::replace(states.begin(), states.end(), AdapterState::active, AdapterState::merged);
    return states;
  }

  static void require_finite(std::span<const T> values, const Entry& entry, std::string_view what) {
    for (const T value : values) {
      require<ValueError>(kernels::is_finite(value), Derived::block, "expected finite numbers in ", what,
                          " of adapter \"", entry.adapter.name, "\", got ", value);
    }
  }
  /// The original weight with the adapters that are to be merged, rounded once.
  Matrix<Stored> merged_weight(const States& states) const {
    require<OptionError>(Derived::merges, Derived::block, "this base has no floating-point weight to merge into");
    for (const Entry& entry : entries_) self().check(entry.adapter);
    Matrix<Stored> result;
    if constexpr (Derived::merges) {
      const Matrix<Stored>& start = original();
      Matrix<T> sum(start.rows(), start.cols());
      std::transform(start.data(), start.data() + start.size(), sum.data(), [](Stored x) { return widened<T>(x); });
      Context context;
      for (std::size_t i = 0; i < states.size(); ++i) {
        if (states[i] != AdapterState::merged) continue;
        const LoraAdapter<T>& adapter = entries_[i].adapter;
        require_finite(adapter.a.values(), entries_[i], "A");
        require_finite(adapter.b.values(), entries_[i], "B");
        if (adapter.magnitude) require_finite(adapter.magnitude->values(), entries_[i], "the magnitude");
        self().add_to(sum, adapter, entries_[i].weight, context);
      }
      result.resize(sum.rows(), sum.cols());
      std::transform(sum.data(), sum.data() + sum.size(), result.data(), [](T x) { return rounded<Stored>(x); });
      for (Index i = 0; i < result.size(); ++i) {
        require<ValueError>(kernels::is_finite(widened<T>(result.data()[i])), Derived::block,
                            "expected a merged weight of finite numbers, got ", widened<T>(result.data()[i]), " from ",
                            sum.data()[i], " in row ", i / result.cols());
      }
    }
    return result;
  }
  void set_states(const States& states) {
    if constexpr (Derived::merges) {
      Matrix<Stored>& weight = self().base.weight.value;
      if (std::find(states.begin(), states.end(), AdapterState::merged) != states.end()) {
        Matrix<Stored> next = merged_weight(states);
        if (!original_) original_.emplace(std::move(weight));
        weight = std::move(next);
      } else if (original_) {
        weight = std::move(*original_);
        original_.reset();
      }
      for (std::size_t i = 0; i < states.size(); ++i) entries_[i].state = states[i];
    } else {
      merged_weight(states);  // which says why not
    }
  }

  std::vector<Entry> entries_;
  std::optional<Matrix<Stored>> original_;  // while an adapter is merged
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
