#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/core/images.hpp>

#include <algorithm>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// What the kernel of a convolution sees, as rows [pixels of the result, k k C], zeros where there is no pixel, so that a
/// convolution is a product. Rows are made for some rows of the results' pixels at a time.
template <class T>
class Patches {
 public:
  /// Of images of the height and width of x, padded by `padding`.
  Patches(const Shape& x, Index kernel, Index stride, Index padding)
      : x_(x), kernel_(kernel), stride_(stride), padding_(padding) {}

  Index height() const { return extent(x_[1]); }
  Index width() const { return extent(x_[2]); }
  /// Numbers of a patch.
  Index features() const { return kernel_ * kernel_ * x_[3]; }
  /// Rows of pixels of all results together.
  Index rows() const { return x_[0] * height(); }
  /// Rows of pixels to take at a time: their patches are about a megabyte.
  Index rows_at_once() const {
    constexpr Index numbers = Index(1) << 18;
    return (std::max)(Index(1), numbers / (std::max)(Index(1), width() * features()));
  }

  /// Writes the patches of rows first .. first + count - 1.   to: [count width, k k C]
  void gather(const ConstImagesView<T>& x, Index first, Index count, T* to, Context& context) const {
    context.parallel_for(count, static_cast<double>(count * width() * features()), [&](Index i) {
      for (Index j = 0; j < width(); ++j) gather_patch(x, first + i, j, to + (i * width() + j) * features());
    });
  }

  /// Adds the patches to the pixels that they were made of, pixel by pixel in the order of the patches.
  void scatter(const T* patches, Index first, Index count, const ImagesView<T>& dx, Context& context) const {
    context.parallel_for(x_[0] * x_[1], static_cast<double>(count * width() * features()), [&](Index row) {
      const Index image = row / x_[1];
      const Index begin = (std::max)(first, image * height());
      const Index end = (std::min)(first + count, (image + 1) * height());
      for (Index result = begin; result < end; ++result) {
        const Index u = row % x_[1] + padding_ - result % height() * stride_;
        if (u < 0 || u >= kernel_) continue;
        const T* const from = patches + (result - first) * width() * features() + u * kernel_ * x_[3];
        for (Index j = 0; j < width(); ++j)
          add_row(from + j * features(), j, dx.at(image, row % x_[1], 0), dx.stride());
      }
    });
  }

 private:
  Index extent(Index of) const {
    const Index room = of + 2 * padding_ - kernel_;
    return of > 0 && room >= 0 ? room / stride_ + 1 : 0;
  }
  /// Places of a row of the kernel at column j of the result that meet a pixel: first .. last - 1.
  std::pair<Index, Index> met(Index j) const {
    const Index column = j * stride_ - padding_;
    return {(std::max)(Index(0), -column), (std::min)(kernel_, x_[2] - column)};
  }
  void gather_patch(const ConstImagesView<T>& x, Index result, Index j, T* to) const {
    const Index channels = x_[3];
    const auto [begin, end] = met(j);
    for (Index u = 0; u < kernel_; ++u, to += kernel_ * channels) {
      const Index row = result % height() * stride_ + u - padding_;
      const bool none = row < 0 || row >= x_[1] || begin >= end;
      std::fill_n(to, (none ? kernel_ : begin) * channels, T(0));
      if (none) continue;
      const T* const from = x.at(result / height(), row, j * stride_ - padding_ + begin);
      for (Index v = begin; v < end; ++v) std::copy_n(from + (v - begin) * x.stride(), channels, to + v * channels);
      std::fill_n(to + end * channels, (kernel_ - end) * channels, T(0));
    }
  }
  void add_row(const T* patch, Index j, T* row, Index pixel_stride) const {
    const auto [begin, end] = met(j);
    for (Index v = begin; v < end; ++v) {
      T* const to = row + (j * stride_ - padding_ + v) * pixel_stride;
      for (Index c = 0; c < x_[3]; ++c) to[c] += patch[v * x_[3] + c];
    }
  }

  Shape x_;
  Index kernel_;
  Index stride_;
  Index padding_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
