#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/local_window_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/residual.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct EfficientViTBlockOptions {
  CascadedGroupAttentionOptions attention{};  ///< its dim, epsilon and statistics are those of all parts
  Index hidden = 2 * attention.dim;           ///< of the feed-forward networks
};

/// The building block of EfficientViT (Liu et al. 2023, section 3.1, "sandwich layout"), on images, channels last:
///   x1 = x + dw0(x),   x2 = x1 + ffn0(x1),   x3 = x2 + mixer(x2),   x4 = x3 + dw1(x3),   y = x4 + ffn1(x4)
/// with depthwise 3 x 3 convolutions dw, feed-forward networks with ReLU, and LocalWindowAttention between them. Each
/// branch ends in a norm that starts with a gain of zero. fold(block) is the same without norms, for inference.
///   forward:   x, y [B, H, W, dim]; y may be x
///   backward:  dy, dx as x; dx may be dy
///   throws OptionError and ShapeError as its parts do
template <class T, class Projection_ = Normed<Linear<T>>, class Interaction_ = Normed<DepthwiseConvolution<T>>>
class EfficientViTBlock : public Block<EfficientViTBlock<T, Projection_, Interaction_>> {
 public:
  using Scalar = T;
  using Options = EfficientViTBlockOptions;
  using Mixer = LocalWindowAttention<T, Projection_, Interaction_>;  ///< of its windows
  using Network = FeedForward<T, Relu, Projection_>;                 ///< of each pixel
  struct Cache {
    typename Interaction_::Cache first_convolution;
    typename Network::Cache first_network;
    typename Mixer::Cache mixer;
    typename Interaction_::Cache second_convolution;
    typename Network::Cache second_network;
    Shape shape{0, 0, 0, 0};  ///< of x
  };

  EfficientViTBlock(const Options& options, Random random)
      : first_convolution(convolution(options, random)),
        first_network(network(options, random)),
        mixer(options.attention, random.split()),
        second_convolution(convolution(options, random)),
        second_network(network(options, random)) {}
  EfficientViTBlock(Interaction_ given_first_convolution, Network given_first_network, Mixer given_mixer,
                    Interaction_ given_second_convolution, Network given_second_network)
      : first_convolution(std::move(given_first_convolution)),
        first_network(std::move(given_first_network)),
        mixer(std::move(given_mixer)),
        second_convolution(std::move(given_second_convolution)),
        second_network(std::move(given_second_network)) {
    check_parts();
  }

  Index input_features() const { return mixer.input_features(); }
  Index output_features() const { return mixer.output_features(); }

  void forward(const ConstImagesView<T>& x, const ImagesView<T>& y, Context& context, Cache* cache = nullptr) const {
    check_parts();
    require_features(input_features(), x.shape(), "EfficientViTBlock");
    require_shape(x.shape(), y.shape(), "EfficientViTBlock", "y");
    const ProfileScope profile(context, "EfficientViTBlock");
    if (cache) cache->shape = x.shape();
    ScratchScope scope(context.scratch());
    const ImagesView<T> a = images_like(x, scope);
    const ImagesView<T> b = images_like(x, scope);
    first_convolution.forward(x, a, context, cache ? &cache->first_convolution : nullptr);
    residual<T>(x.rows(), a.rows(), a.rows(), context);
    first_network.forward(a.rows(), b.rows(), context, cache ? &cache->first_network : nullptr);
    residual<T>(a.rows(), b.rows(), b.rows(), context);
    mixer.forward(b, a, context, cache ? &cache->mixer : nullptr);
    residual<T>(b.rows(), a.rows(), a.rows(), context);
    second_convolution.forward(a, b, context, cache ? &cache->second_convolution : nullptr);
    residual<T>(a.rows(), b.rows(), b.rows(), context);
    second_network.forward(b.rows(), y.rows(), context, cache ? &cache->second_network : nullptr);
    residual<T>(b.rows(), y.rows(), y.rows(), context);
  }

  void backward(const ConstImagesView<T>& dy, const Cache& cache, const ImagesView<T>& dx, Context& context) {
    check_parts();
    require_features(input_features(), dy.shape(), "EfficientViTBlock", "dy");
    require_shape(cache.shape, dy.shape(), "EfficientViTBlock", "dy");
    require_shape(cache.shape, dx.shape(), "EfficientViTBlock", "dx");
    const ProfileScope profile(context, "EfficientViTBlock backward");
    ScratchScope scope(context.scratch());
    const ImagesView<T> a = images_like(dy, scope);
    const ImagesView<T> b = images_like(dy, scope);
    second_network.backward(dy.rows(), cache.second_network, a.rows(), context);
    residual<T>(dy.rows(), a.rows(), a.rows(), context);
    second_convolution.backward(a, cache.second_convolution, b, context);
    residual<T>(a.rows(), b.rows(), b.rows(), context);
    mixer.backward(b, cache.mixer, a, context);
    residual<T>(b.rows(), a.rows(), a.rows(), context);
    first_network.backward(a.rows(), cache.first_network, b.rows(), context);
    residual<T>(a.rows(), b.rows(), b.rows(), context);
    first_convolution.backward(b, cache.first_convolution, dx, context);
    residual<T>(b.rows(), dx.rows(), dx.rows(), context);
  }

  /// Names as in the published code.
  static void members(auto& self, auto&& visit) {
    visit("dw0.m", self.first_convolution);
    visit("ffn0.m.pw1", self.first_network.up);
    visit("ffn0.m.pw2", self.first_network.down);
    visit("mixer.m", self.mixer);
    visit("dw1.m", self.second_convolution);
    visit("ffn1.m.pw1", self.second_network.up);
    visit("ffn1.m.pw2", self.second_network.down);
  }

  Interaction_ first_convolution;
  Network first_network;
  Mixer mixer;
  Interaction_ second_convolution;
  Network second_network;

 private:
  static Interaction_ convolution(const Options& options, Random& random) {
    Interaction_ result({.projection = {.channels = options.attention.dim},
                         .epsilon = options.attention.epsilon,
                         .statistics = options.attention.statistics},
                        random.split());
    result.norm.weight->value.setZero();
    return result;
  }
  static Network network(const Options& options, Random& random) {
    const auto layer = [&](Index in, Index out) {
      return Projection_({.projection = {.in_features = in, .out_features = out},
                          .epsilon = options.attention.epsilon,
                          .statistics = options.attention.statistics},
                         random.split());
    };
    Projection_ up = layer(options.attention.dim, options.hidden);
    Projection_ down = layer(options.hidden, options.attention.dim);
    down.norm.weight->value.setZero();
    return Network(std::move(up), std::move(down));
  }
  static ImagesView<T> images_like(const ConstImagesView<T>& x, ScratchScope& scope) {
    return ImagesView<T>(scope.take<T>(x.pixels() * x.channels()), x.batch(), x.height(), x.width(), x.channels(),
                         x.channels());
  }
  /// Parts are public and may have been replaced.
  void check_parts() const {
    const auto check = [&](const auto& part, std::string_view name) {
      require(part.input_features() == input_features() && part.output_features() == input_features(),
              "EfficientViTBlock", "expected ", name, " to map ", input_features(), " to ", input_features(),
              " features, got ", part.input_features(), " to ", part.output_features());
    };
    check(first_convolution, "dw0");
    check(first_network, "ffn0");
    check(second_convolution, "dw1");
    check(second_network, "ffn1");
  }
};

/// The block as it is in inference, without norms: the same map, but for rounding.
///   throws ValueError for running statistics that no deviation comes from
template <class T>
EfficientViTBlock<T, Linear<T>, DepthwiseConvolution<T>> fold(const EfficientViTBlock<T>& block) {
  using Network = FeedForward<T, Relu, Linear<T>>;
  return {fold(block.first_convolution), Network(fold(block.first_network.up), fold(block.first_network.down)),
          fold(block.mixer), fold(block.second_convolution),
          Network(fold(block.second_network.up), fold(block.second_network.down))};
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
