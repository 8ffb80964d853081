#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/dora.hpp>
#include <eigenformer/adapter/lora_adapters.hpp>
#include <eigenformer/core/concepts.hpp>
#include <eigenformer/ops/dropout.hpp>

#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {
/// Bases that multiply by the numbers of their weight, so that adapters can be merged into it, and what it is stored as.
template <class Base, class T>
struct PlainWeight : std::false_type {
  using Storage = T;
};
template <class T, class S>
struct PlainWeight<Linear<T, S>, T> : std::true_type {
  using Storage = S;
};
}  // namespace detail

/// A projection that carries low-rank adapters (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models",
/// section 4.1), and is itself a projection: for each adapter that is active
///   y = base(x) + weight scale (x A^T) B^T,   scale = alpha / rank, or alpha / sqrt(rank)
/// or, with a learned magnitude m (Liu et al. 2024, "DoRA"), whose row norms count as constants in backward as there,
///   y = base(x) + weight (m / |V| (x V^T) - x W^T),   V = W + scale B A,   0 where a row of V is 0
/// A starts normal with the variance of a Linear's weight, 1 / (3 in), B at zero and m at |W|: an adapter that was just
/// added changes nothing. In forward with a cache what A reads is dropped at the rate `dropout`; the seed comes from the
/// Context's random().
///
/// How adapters are added, switched, weighted, removed and merged: LoraAdapters. The base is anything that is a
/// projection; adapters can be merged into a Linear and have a magnitude over one, in half precision too, where the
/// merged weight is rounded once. A BitLinear multiplies by codes of its weight, which have no room for an adapter: it
/// has its adapters beside it. Adding one freezes the base, so that backward gives gradients of A, B and m alone. What
/// is merged has no gradient, and changes of a merged weight are lost when it is unmerged; save and load unmerged models.
/// Without adapters it is the base to the bit, and its parameters have the base's names.
///   forward:   x [..., in] -> y [..., out], which may not overlap
///   a [rank, in]    b [out, rank]    magnitude [out]
///   throws OptionError for options out of range, a magnitude over a base without a plain weight, ShapeError for what does
///          not fit, ValueError if an adapter was switched, merged or thawed between forward and backward
/// @code
/// ef::Lora<ef::Linear<float>> projection({.in_features = 7, .out_features = 5}, ef::Random(42));
/// projection.add("summaries", {.rank = 2, .alpha = 4}, ef::Random(43));
/// const ef::Matrix<float> x = ef::Matrix<float>::Ones(3, 7);
/// const ef::Matrix<float> y = projection(x);  // [3, 5]
/// projection.merge();                         // the same y at the cost of a Linear
/// projection.unmerge();                       // the weight as it was
/// @endcode
template <class Base>
class Lora : public Block<Lora<Base>>,
             public LoraAdapters<Lora<Base>, typename Base::Scalar,
                                 typename detail::PlainWeight<Base, typename Base::Scalar>::Storage> {
 public:
  using Scalar = typename Base::Scalar;
  static_assert(Projection<Base, Scalar>, "Lora: the base is a projection, such as Linear<T>, or an Embedding<T>");
  using Options = typename Base::Options;
  using Storage = typename detail::PlainWeight<Base, Scalar>::Storage;
  static constexpr std::string_view block = "Lora";
  static constexpr bool merges = detail::PlainWeight<Base, Scalar>::value;  ///< whether the base has a plain weight
  /// Whether gradients are not derivatives.
  static constexpr bool straight_through = requires { requires Base::straight_through; };
  /// What one adapter keeps.
  struct AdapterCache : AdapterInForward {
    Buffer<Scalar> h{};       ///< [its rows, rank], scaled; empty while B is frozen
    Buffer<Scalar> result{};  ///< [its rows, out], x V^T of DoRA; empty while the magnitude is frozen
    Buffer<Scalar> norms{};   ///< [out], |V| of DoRA
    std::uint64_t seed = 0;   ///< of what was dropped
  };
  struct Cache {
    typename Base::Cache base;
    Buffer<Scalar> x;                    ///< [N, in], empty while every A is frozen or idle
    std::vector<AdapterCache> adapters;  ///< of each in their order
    Index rows = 0;                      ///< N
  };

  /// The base as it would start, without adapters.
  Lora(const Options& options, Random random) : base(options, Random(random)) {}
  /// Over a given base.
  explicit Lora(Base given) : base(std::move(given)) {}

  Index input_features() const { return base.input_features(); }
  Index output_features() const { return base.output_features(); }

  /// What it has of adapters.
  using Adapters = LoraAdapters<Lora, Scalar, Storage>;
  using Adapters::add;
  /// Adds a new adapter, which is active from now on, and freezes the base.
  void add(std::string name, const LoraOptions& options, Random random) {
    this->check_add(name, options);
    LoraAdapter<Scalar> adapter = {std::move(name), options};
    adapter.a.value.resize(options.rank, input_features());
    const double deviation = 1 / std::sqrt(3 * static_cast<double>(input_features()));
    for (Scalar& value : adapter.a.values()) value = static_cast<Scalar>(deviation * random.normal());
    adapter.b.value = Matrix<Scalar>::Zero(output_features(), options.rank);
    if (options.magnitude) {
      adapter.magnitude.emplace(Vector<Scalar>(output_features()));
      Context context;
      row_norms(adapter, adapter.magnitude->value.data(), context);
    }
    add(std::move(adapter));
  }

  void forward(ConstRowsView<Scalar> x, RowsView<Scalar> y, Context& context, Cache* cache = nullptr) const {
    this->check_adapters(x.rows(), context);
    require_rows(x, input_features(), y, output_features(), block);
    const ProfileScope profile(context, block);
    if (cache) keep(x, *cache, context);
    base.forward(x, y, context, cache ? &cache->base : nullptr);
    for (std::size_t i = 0; i < this->entries().size(); ++i) {
      const Entry& entry = this->entries()[i];
      ScratchScope scope(context.scratch());
      const RowRuns runs = this->rows_of(entry, x.rows(), context, scope);
      if (runs.empty()) continue;
      const ConstRowsView<Scalar> x_rows = gathered<Scalar>(x, runs, scope);
      on_rows<Scalar>(y, runs, context, [&](RowsView<Scalar> y_rows) {
        add_adapted(entry, x_rows, y_rows, context, cache ? &cache->adapters[i] : nullptr);
      });
    }
  }

  void backward(ConstRowsView<Scalar> dy, const Cache& cache, RowsView<Scalar> dx, Context& context) {
    this->check_adapters(dy.rows(), context);
    require_rows(dy, output_features(), dx, input_features(), block, "dy", "dx");
    check_kept(dy, cache);
    const ProfileScope profile(context, "Lora backward");
    base.backward(dy, cache.base, dx, context);
    for (std::size_t i = 0; i < this->entries().size(); ++i) {
      const RowRuns runs = cache.adapters[i].rows.values();
      if (runs.empty()) continue;
      ScratchScope scope(context.scratch());
      const ConstRowsView<Scalar> dy_rows = gathered<Scalar>(dy, runs, scope);
      on_rows<Scalar>(dx, runs, context, [&](RowsView<Scalar> dx_rows) {
        add_gradients(this->entries()[i], dy_rows, cache, cache.adapters[i], dx_rows, context);
      });
    }
  }

  static void members(auto& self, auto&& visit) {
    visit("", self.base);
    Adapters::visit_adapters(self, visit);
  }

  /// Throws unless these are options of an adapter of this base.
  void check(const LoraOptions& options) const {
    require_lora_options(options, input_features(), output_features(), block);
    require<OptionError>(merges || !options.magnitude, block,
                         "a magnitude needs a base that multiplies by a floating-point weight, such as Linear");
  }
  /// Throws unless it is an adapter of this base.
  void check(const LoraAdapter<Scalar>& adapter) const {
    check(adapter.options);
    require_shape({adapter.options.rank, input_features()}, adapter.a.shape(), block, "A [rank, in]");
    require_shape({output_features(), adapter.options.rank}, adapter.b.shape(), block, "B [out, rank]");
    const Index values = adapter.magnitude ? adapter.magnitude->size() : 0;
    const Index expected = adapter.options.magnitude ? output_features() : 0;
    require(values == expected, block, "expected a magnitude of ", expected, " values, got ", values);
  }

  Base base;  ///< what adapters are added to

 private:
  friend Adapters;
  using typename Adapters::Entry;

  static Scalar factor(const Entry& entry) {
    return static_cast<Scalar>((entry.adapter.magnitude ? 1 : entry.weight) * entry.adapter.scale());
  }
  void row_norms(const LoraAdapter<Scalar>& adapter, Scalar* norms, Context& context) const {
    if constexpr (merges) {
      adapted_row_norms<Scalar, Storage>(this->original(), adapter.a.value, adapter.b.value,
                                         static_cast<Scalar>(adapter.scale()), norms, context);
    }
  }
  void keep(ConstRowsView<Scalar> x, Cache& cache, Context& context) const {
    cache.rows = x.rows();
    const Index kept = this->remember(cache.adapters, x.rows(), context) ? x.rows() : 0;
    cache.x.resize(kept, input_features()) = x.topRows(kept);
  }
  void check_kept(ConstRowsView<Scalar> dy, const Cache& cache) const {
    require(dy.rows() == cache.rows, block, "expected dy with the ", cache.rows, " rows of forward, got shape ",
            dy.shape());
    this->require_remembered(cache.adapters, [&](std::size_t i) {
      const LoraAdapter<Scalar>& adapter = this->entries()[i].adapter;
      const AdapterCache& kept = cache.adapters[i];
      const Index rows = row_count(kept.rows.values());
      if (adapter.a.trainable && cache.x.size() != cache.rows * input_features()) return false;
      if (adapter.b.trainable && kept.h.size() != rows * adapter.options.rank) return false;
      if (!adapter.magnitude) return true;
      return kept.norms.size() == output_features() &&
             (!adapter.magnitude->trainable || kept.result.size() == rows * output_features());
    });
  }

  /// Memory of the cache if there is one, else of the scope.
  static RowsView<Scalar> room(Buffer<Scalar>* kept, Index rows, Index features, ScratchScope& scope) {
    return kept ? kept->resize(rows, features) : scope.rows<Scalar>(rows, features);
  }
  ConstRowsView<Scalar> dropped(const Entry& entry, ConstRowsView<Scalar> x, std::uint64_t seed, ScratchScope& scope,
                                Context& context) const {
    if (entry.adapter.options.dropout == 0) return x;
    const RowsView<Scalar> result = scope.rows<Scalar>(x.rows(), x.features());
    dropout<Scalar>(x, result, {entry.adapter.options.dropout, seed}, context);
    return result;
  }

  void add_adapted(const Entry& entry, ConstRowsView<Scalar> x, RowsView<Scalar> y, Context& context,
                   AdapterCache* cache) const {
    const LoraAdapter<Scalar>& adapter = entry.adapter;
    ScratchScope scope(context.scratch());
    if (cache) cache->h.resize(0), cache->result.resize(0);
    if (cache && adapter.options.dropout > 0) cache->seed = context.random().bits();
    const RowsView<Scalar> h =
        room(cache && adapter.b.trainable ? &cache->h : nullptr, x.rows(), adapter.options.rank, scope);
    low_rank_down<Scalar>(cache ? dropped(entry, x, cache->seed, scope, context) : x, adapter.a.value, factor(entry), h,
                          context);
    if (!adapter.magnitude) return low_rank_up<Scalar>(h, adapter.b.value, y, context);
    if constexpr (merges) {
      const RowsView<Scalar> result =
          room(cache && adapter.magnitude->trainable ? &cache->result : nullptr, x.rows(), output_features(), scope);
      RowsView<Scalar> row = room(cache ? &cache->norms : nullptr, 1, output_features(), scope);
      Scalar* const norms = row.data();
      row_norms(adapter, norms, context);
      linear<Scalar, Storage>(x, this->original(), {}, result, context);
      const auto weight = static_cast<Scalar>(entry.weight);
      Scalar* const factors = scope.take<Scalar>(output_features());
      std::fill_n(factors, output_features(), -weight);
      add_scaled<Scalar>(result, factors, y, context);
      low_rank_up<Scalar>(h, adapter.b.value, result, context);
      row_factors<Scalar>(adapter.magnitude->values(), norms, weight, factors);
      add_scaled<Scalar>(result, factors, y, context);
    }
  }

  void add_gradients(Entry& entry, ConstRowsView<Scalar> dy, const Cache& cache, const AdapterCache& kept,
                     RowsView<Scalar> dx, Context& context) {
    if (!entry.adapter.magnitude) return add_product_gradients(entry, dy, cache, kept, dx, context);
    if constexpr (merges) {
      ScratchScope scope(context.scratch());
      auto& magnitude = *entry.adapter.magnitude;
      const auto weight = static_cast<Scalar>(entry.weight);
      Scalar* const factors = scope.take<Scalar>(output_features());
      row_factors<Scalar>(magnitude.values(), kept.norms.data(), weight, factors);
      RowsView<Scalar> scaled = scope.rows<Scalar>(dy.rows(), output_features());
      std::fill_n(scaled.data(), scaled.size(), Scalar(0));
      add_scaled<Scalar>(dy, factors, scaled, context);
      add_product_gradients(entry, scaled, cache, kept, dx, context);
      std::fill_n(factors, output_features(), -weight);
      add_scaled<Scalar>(dy, factors, scaled, context);
      add_product<Scalar, Storage>(scaled, this->original(), dx, context);
      if (!magnitude.trainable) return;
      magnitude.accumulated_gradient();
      dora_backward_magnitude<Scalar>(dy, kept.result.rows(output_features()), kept.norms.data(), weight,
                                      magnitude.gradients(), context);
    }
  }
  /// Of y += h B^T, h = factor x A^T.
  void add_product_gradients(Entry& entry, ConstRowsView<Scalar> dy, const Cache& cache, const AdapterCache& kept,
                             RowsView<Scalar> dx, Context& context) {
    LoraAdapter<Scalar>& adapter = entry.adapter;
    const Index rank = adapter.options.rank;
    ScratchScope scope(context.scratch());
    if (adapter.b.trainable) {
      linear_backward_weight<Scalar>(dy, kept.h.rows(rank), adapter.b.accumulated_gradient(), context);
    }
    RowsView<Scalar> dh = scope.rows<Scalar>(dy.rows(), rank);
    low_rank_down_backward<Scalar>(dy, adapter.b.value, factor(entry), dh, context);
    if (adapter.a.trainable) {
      const ConstRowsView<Scalar> x = gathered<Scalar>(cache.x.rows(input_features()), kept.rows.values(), scope);
      linear_backward_weight<Scalar>(dh, dropped(entry, x, kept.seed, scope, context), adapter.a.accumulated_gradient(),
                                     context);
    }
    if (adapter.options.dropout == 0) return add_product<Scalar>(dh, adapter.a.value, dx, context);
    RowsView<Scalar> part = scope.rows<Scalar>(dx.rows(), input_features());
    linear_backward_input<Scalar>(dh, adapter.a.value, part, context);
    dropout_backward<Scalar>(part, part, {adapter.options.dropout, kept.seed}, context);
    dx += part;
  }
  /// sum += weight (adapted - original), for merging.
  void add_to(Matrix<Scalar>& sum, const LoraAdapter<Scalar>& adapter, double weight, Context& context) const {
    if (!adapter.magnitude) {
      const Matrix<Scalar> scaled = static_cast<Scalar>(weight * adapter.scale()) * adapter.b.value;
      return add_product<Scalar>(scaled, adapter.a.value, sum, context);
    }
    if constexpr (merges) {
      add_decomposed<Scalar, Storage>(this->original(), adapter.a.value, adapter.b.value,
                                      static_cast<Scalar>(adapter.scale()), adapter.magnitude->values(),
                                      static_cast<Scalar>(weight), sum, context);
    }
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
