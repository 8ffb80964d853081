#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/attention.hpp>
#include <eigenformer/attention/attention_backward.hpp>
#include <eigenformer/attention/offset_bias.hpp>
#include <eigenformer/convolution/fold.hpp>
#include <eigenformer/ops/activation.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct CascadedGroupAttentionOptions {
  Index dim = 0;
  Index key_dim = 16;  ///< features of queries and keys of a head; of values dim / heads
  Index heads = 4;
  Index resolution = 7;                            ///< pixels along a side of what is attended to
  std::vector<Index> kernels{};                    ///< of the token interaction, one for each head; 5 if none is given
  double epsilon = 1e-5;                           ///< of the norms
  RunningStatistics statistics = MovingAverage{};  ///< of the norms
};

/// What cascaded group attention keeps for backward.
template <class T, class Projection, class Interaction>
struct CascadedGroupAttentionCache {
  /// Of one head.
  struct Head {
    typename Projection::Cache projection;
    typename Interaction::Cache interaction;
    Buffer<T> packed;       ///< [N, 2 key_dim + dim / heads], what the projection gives: query, key and value
    Buffer<T> query;        ///< [N, key_dim], after the token interaction
    Buffer<T> log_sum_exp;  ///< [windows, resolution^2]
  };
  std::vector<Head> heads;
  typename Projection::Cache output;
  Buffer<T> attended;  ///< [N, dim], what the heads give, before ReLU
  Index windows = 0;
};

/// Cascaded group attention (Liu et al. 2023, "EfficientViT: Memory Efficient Vision Transformer with Cascaded Group
/// Attention", section 3.2) over square windows, channels last; equal to the published code, whose names its parameters
/// have. With x_h the h-th of `heads` equal parts of the channels, and y_0 = 0:
///   q, k, v = qkvs[h](x_h + y_(h-1)),    q' = dws[h](q), a depthwise convolution
///   y_h = softmax(q' k^T / sqrt(key_dim) + B_h) v,  B_h between two pixels being attention_biases[h, |dy| r + |dx|]
///   y = proj(ReLU(concat(y_0, y_1, ...)))
/// Projections and convolutions are followed by BatchNorm: a forward that is given a cache is one of training.
/// fold(attention) is the same without norms, for inference.
///   forward:   x, y [windows, r, r, dim], r being the resolution; y may be x
///   backward:  dy, dx as x; dx may be dy
///   throws OptionError for options that do not go together, ShapeError for an x, y, dy, dx, projection, convolution or
///          attention_biases that does not fit, as one of another resolution
template <class T, class Projection_ = Normed<Linear<T>>, class Interaction_ = Normed<DepthwiseConvolution<T>>>
class CascadedGroupAttention : public Block<CascadedGroupAttention<T, Projection_, Interaction_>> {
 public:
  static_assert(Projection<Projection_, T>, "attention: the second argument is a projection, such as Linear<T>");
  static_assert(SpatialBlock<Interaction_, T>,
                "attention: the third argument maps images, such as DepthwiseConvolution<T>");
  using Scalar = T;
  using Options = CascadedGroupAttentionOptions;
  using Cache = CascadedGroupAttentionCache<T, Projection_, Interaction_>;
  static constexpr std::string_view block = "CascadedGroupAttention";

  /// The last norm starts with a gain of zero, so that a residual branch starts as nothing.
  CascadedGroupAttention(const Options& chosen, Random random)
      : options(checked(chosen)), output(projection(options.dim, options.dim, random)) {
    for (const Index kernel : options.kernels) {
      projections.push_back(projection(part(), packed(), random));
      interactions.push_back(Interaction_({.projection = {.channels = options.key_dim, .kernel = kernel},
                                           .epsilon = options.epsilon,
                                           .statistics = options.statistics},
                                          random.split()));
    }
    output.norm.weight->value.setZero();
    biases = Parameter<T, 2>(Matrix<T>(Matrix<T>::Zero(options.heads, positions())));
  }
  CascadedGroupAttention(const Options& chosen, std::vector<Projection_> given_projections,
                         std::vector<Interaction_> given_interactions, Projection_ given_output, Matrix<T> given_biases)
      : options(checked(chosen)),
        projections(std::move(given_projections)),
        interactions(std::move(given_interactions)),
        output(std::move(given_output)),
        biases(std::move(given_biases)) {
    check_parts();
  }

  Index input_features() const { return options.dim; }
  Index output_features() const { return options.dim; }

  void forward(const ConstImagesView<T>& x, const ImagesView<T>& y, Context& context, Cache* cache = nullptr) const {
    check_parts();
    check(x.shape(), y.shape(), "y");
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    const Index rows = x.pixels();
    if (cache) cache->heads.resize(static_cast<std::size_t>(options.heads));
    if (cache) cache->windows = x.batch();
    const RowsView<T> attended = cache ? cache->attended.resize(rows, options.dim) : scope.rows<T>(rows, options.dim);
    RowsView<T> fed = scope.rows<T>(rows, part());
    for (Index h = 0; h < options.heads; ++h) {
      if (h > 0) fed = columns(x.rows(), h) + columns(attended, h - 1);
      typename Cache::Head* const kept = cache ? &cache->heads[static_cast<std::size_t>(h)] : nullptr;
      forward_head(h, h > 0 ? ConstRowsView<T>(fed) : columns(x.rows(), h), columns(attended, h), context, kept);
    }
    const RowsView<T> activated = cache ? scope.rows<T>(rows, options.dim) : attended;  // backward wants it as it is
    activate<Relu, T>(attended, activated, context);
    output.forward(activated, y.rows(), context, cache ? &cache->output : nullptr);
  }

  void backward(const ConstImagesView<T>& dy, const Cache& cache, const ImagesView<T>& dx, Context& context) {
    check_parts();
    check(dy.shape(), dx.shape(), "dx");
    require(cache.windows == dy.batch(), block, "expected dy with the ", cache.windows,
            " windows of forward, got shape ", dy.shape());
    const ProfileScope profile(context, "CascadedGroupAttention backward");
    ScratchScope scope(context.scratch());
    const RowsView<T> dattended = scope.rows<T>(dy.pixels(), options.dim);
    output.backward(dy.rows(), cache.output, dattended, context);
    activate_backward<Relu, T>(cache.attended.rows(options.dim), dattended, dattended, context);
    for (Index h = options.heads; h-- > 0;) {
      const RowsView<T> dfed = columns(dx.rows(), h);
      backward_head(h, columns(dattended, h), cache, dfed, context);
      if (h > 0) columns(dattended, h - 1) += dfed;
    }
  }

  static void members(auto& self, auto&& visit) {
    visit("qkvs", self.projections);
    visit("dws", self.interactions);
    visit("proj.1", self.output);
    visit("attention_biases", self.biases);
  }

  Options options;
  std::vector<Projection_> projections;    ///< of each head, to query, key and value
  std::vector<Interaction_> interactions;  ///< of each head's query
  Projection_ output;                      ///< of all heads together
  Parameter<T, 2> biases;                  ///< [heads, r^2], by offset

 private:
  static Options checked(Options chosen) {
    require_positive(chosen.dim, block, "dim");
    require_positive(chosen.heads, block, "heads");
    require_positive(chosen.key_dim, block, "key_dim");
    require_positive(chosen.resolution, block, "resolution");
    require<OptionError>(chosen.dim % chosen.heads == 0, block, "expected dim divisible by heads, got dim ", chosen.dim,
                         " and ", chosen.heads, " heads");
    if (chosen.kernels.empty()) chosen.kernels.assign(static_cast<std::size_t>(chosen.heads), 5);
    require<OptionError>(static_cast<Index>(chosen.kernels.size()) == chosen.heads, block, "expected ", chosen.heads,
                         " kernels, one for each head, got ", chosen.kernels.size());
    return chosen;
  }
  Projection_ projection(Index in, Index out, Random& random) const {
    return Projection_({.projection = {.in_features = in, .out_features = out},
                        .epsilon = options.epsilon,
                        .statistics = options.statistics},
                       random.split());
  }

  Index part() const { return options.dim / options.heads; }
  Index packed() const { return 2 * options.key_dim + part(); }
  Index positions() const { return options.resolution * options.resolution; }

  /// The channels of head h.
  template <class Rows>
  Rows columns(Rows x, Index h) const {
    return Rows(x.data() + h * part(), x.rows(), part(), x.stride());
  }
  /// Some features of rows of pixels, as one head.
  template <class View, class Element>
  View head(Element* data, Index rows, Index features, Index stride) const {
    return View(data, rows / positions(), positions(), 1, features, positions() * stride, stride, features);
  }
  /// The same as images.
  template <class View, class Element>
  View images(Element* data, Index rows, Index stride) const {
    return View(data, rows / positions(), options.resolution, options.resolution, options.key_dim, stride);
  }

  void forward_head(Index h, ConstRowsView<T> x, RowsView<T> y, Context& context, typename Cache::Head* kept) const {
    ScratchScope scope(context.scratch());
    const auto memory = [&](Buffer<T> Cache::Head::*buffer, Index size) {
      return kept ? (kept->*buffer).resize(size) : scope.take<T>(size);
    };
    const Index rows = x.rows();
    T* const qkv = memory(&Cache::Head::packed, rows * packed());
    T* const query = memory(&Cache::Head::query, rows * options.key_dim);
    const auto at = static_cast<std::size_t>(h);
    projections[at].forward(x, RowsView<T>(qkv, rows, packed(), packed()), context, kept ? &kept->projection : nullptr);
    interactions[at].forward(images<ConstImagesView<T>>(qkv, rows, packed()),
                             images<ImagesView<T>>(query, rows, options.key_dim), context,
                             kept ? &kept->interaction : nullptr);
    const KeyValueSegment<T> segments[] = {segment(qkv, rows)};
    attention<T>(
        {queries(query, rows), segments, bias_of(h, scope, context.scratch())},
        {head<HeadsView<T>>(y.data(), rows, part(), y.stride()), kept ? kept->log_sum_exp.resize(rows) : nullptr},
        NoMask{}, {}, context);
  }

  void backward_head(Index h, ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    ScratchScope scope(context.scratch());
    const auto at = static_cast<std::size_t>(h);
    const typename Cache::Head& kept = cache.heads[at];
    const Index rows = dy.rows();
    T* const dquery = scope.take<T>(rows * options.key_dim);
    T* const dqkv = scope.take<T>(rows * packed());
    T* const dbias = scope.take<T>(positions() * positions());
    const KeyValueSegment<T> segments[] = {segment(kept.packed.data(), rows)};
    const KeyValueGradient<T> gradients[] = {
        {head<HeadsView<T>>(dqkv + options.key_dim, rows, options.key_dim, packed()),
         head<HeadsView<T>>(dqkv + 2 * options.key_dim, rows, part(), packed())}};
    attention_backward<T>({queries(kept.query.data(), rows), segments, bias_of(h, scope, context.scratch())},
                          {head<ConstHeadsView<T>>(cache.attended.data() + h * part(), rows, part(), options.dim),
                           head<ConstHeadsView<T>>(dy.data(), rows, part(), dy.stride()), kept.log_sum_exp.data()},
                          {head<HeadsView<T>>(dquery, rows, options.key_dim, options.key_dim), gradients,
                           biases.trainable ? dbias : nullptr},
                          NoMask{}, {}, context);
    if (biases.trainable) {
      Matrix<T>& gradient = biases.accumulated_gradient();
      const std::span<T> of_head(gradient.data() + h * positions(), static_cast<std::size_t>(positions()));
      offset_bias_backward<T>(dbias, options.resolution, of_head, context.scratch());
    }
    interactions[at].backward(images<ConstImagesView<T>>(dquery, rows, options.key_dim), kept.interaction,
                              images<ImagesView<T>>(dqkv, rows, packed()), context);
    projections[at].backward(ConstRowsView<T>(dqkv, rows, packed(), packed()), kept.projection, dx, context);
  }

  ConstHeadsView<T> queries(const T* data, Index rows) const {
    return head<ConstHeadsView<T>>(data, rows, options.key_dim, options.key_dim);
  }
  KeyValueSegment<T> segment(const T* qkv, Index rows) const {
    return {head<ConstHeadsView<T>>(qkv + options.key_dim, rows, options.key_dim, packed()),
            head<ConstHeadsView<T>>(qkv + 2 * options.key_dim, rows, part(), packed())};
  }
  ScoreBias<T> bias_of(Index h, ScratchScope& scope, ScratchArena& scratch) const {
    T* const bias = scope.take<T>(positions() * positions());
    offset_bias<T>(
        biases.values().subspan(static_cast<std::size_t>(h * positions()), static_cast<std::size_t>(positions())),
        options.resolution, bias, scratch);
    return ScoreBias<T>::dense(bias, 1, positions(), positions());
  }

  void check(const Shape& x, const Shape& y, std::string_view y_name) const {
    require_features(options.dim, x, block);
    require(x[1] == options.resolution && x[2] == options.resolution, block, "expected windows of ", options.resolution,
            " x ", options.resolution, " pixels, got x of shape ", x);
    require_shape(x, y, block, y_name);
  }
  /// Parts are public and may have been replaced.
  void check_parts() const {
    const auto heads = static_cast<std::size_t>(options.heads);
    require(projections.size() == heads && interactions.size() == heads, block, "expected ", heads,
            " qkvs and dws, got ", projections.size(), " and ", interactions.size());
    for (const Projection_& of_head : projections) check_projection(of_head, part(), packed(), "qkvs");
    for (const Interaction_& of_head : interactions) {
      require(of_head.input_features() == options.key_dim, block, "expected dws of ", options.key_dim,
              " channels, got ", of_head.input_features());
    }
    check_projection(output, options.dim, options.dim, "proj");
    require(biases.shape() == Shape{options.heads, positions()}, block, "expected attention_biases of shape [",
            options.heads, ", ", positions(), "] for a resolution of ", options.resolution, ", got ", biases.shape());
  }
  static void check_projection(const Projection_& part, Index in, Index out, std::string_view name) {
    require(part.input_features() == in && part.output_features() == out, block, "expected ", name, " to map ", in,
            " to ", out, " features, got ", part.input_features(), " to ", part.output_features());
  }
};

/// The attention as it is in inference, without norms: the same map, but for rounding.
///   throws ValueError for running statistics that no deviation comes from
template <class T>
CascadedGroupAttention<T, Linear<T>, DepthwiseConvolution<T>> fold(const CascadedGroupAttention<T>& attention) {
  std::vector<Linear<T>> projections;
  std::vector<DepthwiseConvolution<T>> interactions;
  for (const auto& normed : attention.projections) projections.push_back(fold(normed));
  for (const auto& normed : attention.interactions) interactions.push_back(fold(normed));
  return {attention.options, std::move(projections), std::move(interactions), fold(attention.output),
          attention.biases.value};
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
