#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/cascaded_group_attention.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Cascaded group attention within the windows of an image (Liu et al. 2023; the published LocalWindowAttention). Where
/// height or width are no multiple of the window, zeros are put below and to the right, and cut off again: as in the
/// published code these pixels take part in attention and in the norms' statistics. All windows of all images are one
/// batch. The window is the attention's resolution; published models take the smaller of window and image.
///   forward:   x, y [B, H, W, dim]; y may be x
///   backward:  dy, dx as x; dx may be dy
///   throws OptionError and ShapeError as CascadedGroupAttention does
/// @code
/// using Windows = ef::LocalWindowAttention<float>;
/// const Windows windows({.dim = 24, .key_dim = 8, .heads = 3, .resolution = 7, .kernels = {7, 5, 3}}, ef::Random(42));
/// ef::Tensor<float, 4> images(2, 16, 12, 24);
/// images.setConstant(1.0F);
/// const ef::Tensor<float, 4> y = windows(images);  // of 2 x 3 x 2 windows
/// @endcode
template <class T, class Projection_ = Normed<Linear<T>>, class Interaction_ = Normed<DepthwiseConvolution<T>>>
class LocalWindowAttention : public Block<LocalWindowAttention<T, Projection_, Interaction_>> {
 public:
  using Scalar = T;
  using Attention = CascadedGroupAttention<T, Projection_, Interaction_>;
  using Options = typename Attention::Options;
  struct Cache {
    typename Attention::Cache attention;
    Shape shape{0, 0, 0, 0};  ///< of x
  };

  LocalWindowAttention(const Options& options, Random random) : attention(options, random.split()) {}
  explicit LocalWindowAttention(Attention given_attention) : attention(std::move(given_attention)) {}

  Index input_features() const { return attention.input_features(); }
  Index output_features() const { return attention.output_features(); }

  void forward(const ConstImagesView<T>& x, const ImagesView<T>& y, Context& context, Cache* cache = nullptr) const {
    require_features(input_features(), x.shape(), "LocalWindowAttention");
    require_shape(x.shape(), y.shape(), "LocalWindowAttention", "y");
    if (cache) cache->shape = x.shape();
    typename Attention::Cache* const kept = cache ? &cache->attention : nullptr;
    if (is_window(x.shape())) return attention.forward(x, y, context, kept);
    const ProfileScope profile(context, "LocalWindowAttention");
    ScratchScope scope(context.scratch());
    const ImagesView<T> windows = windows_of(x.shape(), scope);
    cut(x, windows, context);
    attention.forward(windows, windows, context, kept);
    put_together(windows, y, context);
  }

  void backward(const ConstImagesView<T>& dy, const Cache& cache, const ImagesView<T>& dx, Context& context) {
    require_features(input_features(), dy.shape(), "LocalWindowAttention", "dy");
    require_shape(cache.shape, dy.shape(), "LocalWindowAttention", "dy");
    require_shape(cache.shape, dx.shape(), "LocalWindowAttention", "dx");
    if (is_window(dy.shape())) return attention.backward(dy, cache.attention, dx, context);
    const ProfileScope profile(context, "LocalWindowAttention backward");
    ScratchScope scope(context.scratch());
    const ImagesView<T> windows = windows_of(dy.shape(), scope);
    cut(dy, windows, context);
    attention.backward(windows, cache.attention, windows, context);
    put_together(windows, dx, context);
  }

  static void members(auto& self, auto&& visit) { visit("attn", self.attention); }

  Attention attention;  ///< of one window

 private:
  Index side() const { return attention.options.resolution; }
  Index windows_along(Index extent) const { return (extent + side() - 1) / side(); }
  bool is_window(const Shape& shape) const { return shape[1] == side() && shape[2] == side(); }

  ImagesView<T> windows_of(const Shape& images, ScratchScope& scope) const {
    const Index count = images[0] * windows_along(images[1]) * windows_along(images[2]);
    return ImagesView<T>(scope.take<T>(count * side() * side() * images[3]), count, side(), side(), images[3],
                         images[3]);
  }
  /// Calls body(window, row of it, first pixel of the image, number of pixels) for every row of every window; there is no
  /// pixel where the window reaches beyond the image.
  template <class Images, class Body>
  void for_each_row(const Images& images, Context& context, const Body& body) const {
    const Index down = windows_along(images.height());
    const Index across = windows_along(images.width());
    const double moved = static_cast<double>(images.pixels() * images.channels());
    context.parallel_for(images.batch() * down * across, moved, [&](Index window) {
      const Index column = window % across * side();
      for (Index i = 0; i < side(); ++i) {
        const Index row = window / across % down * side() + i;
        const Index pixels = row < images.height() ? (std::min)(side(), images.width() - column) : 0;
        body(window * side() + i, (window / (across * down) * images.height() + row) * images.width() + column, pixels);
      }
    });
  }
  static void copy_pixels(const T* from, Index from_stride, T* to, Index to_stride, Index pixels, Index channels) {
    if (from_stride == channels && to_stride == channels) {
      std::copy_n(from, pixels * channels, to);
    } else {
      for (Index i = 0; i < pixels; ++i) std::copy_n(from + i * from_stride, channels, to + i * to_stride);
    }
  }
  void cut(const ConstImagesView<T>& images, const ImagesView<T>& windows, Context& context) const {
    const Index channels = images.channels();
    for_each_row(images, context, [&](Index row, Index first, Index pixels) {
      T* const to = windows.data() + row * side() * channels;
      copy_pixels(images.data() + first * images.stride(), images.stride(), to, channels, pixels, channels);
      std::fill_n(to + pixels * channels, (side() - pixels) * channels, T(0));
    });
  }
  void put_together(const ImagesView<T>& windows, const ImagesView<T>& images, Context& context) const {
    const Index channels = images.channels();
    for_each_row(images, context, [&](Index row, Index first, Index pixels) {
      copy_pixels(windows.data() + row * side() * channels, channels, images.data() + first * images.stride(),
                  images.stride(), pixels, channels);
    });
  }
};

/// The attention as it is in inference, without norms: the same map, but for rounding. Errors as of its attention.
template <class T>
LocalWindowAttention<T, Linear<T>, DepthwiseConvolution<T>> fold(const LocalWindowAttention<T>& windows) {
  return LocalWindowAttention<T, Linear<T>, DepthwiseConvolution<T>>(fold(windows.attention));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
