#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>
#include <eigenformer/core/tensor.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// [batch, height, width, channels], channels last: the channels of a pixel are contiguous, pixels follow each other
/// `stride` elements apart, as where some of the channels that lie in memory are taken.
template <class Element>
class ImagesBase {
 public:
  ImagesBase(Element* data, Index batch, Index height, Index width, Index channels, Index stride)
      : data_(data), batch_(batch), height_(height), width_(width), channels_(channels), stride_(stride) {}

  Element* data() const { return data_; }
  Element* at(Index image, Index row, Index column) const {
    return data_ + ((image * height_ + row) * width_ + column) * stride_;
  }

  Index batch() const { return batch_; }
  Index height() const { return height_; }
  Index width() const { return width_; }
  Index channels() const { return channels_; }
  Index stride() const { return stride_; }
  /// Number of pixels of all images.
  Index pixels() const { return batch_ * height_ * width_; }
  Shape shape() const { return {batch_, height_, width_, channels_}; }

 private:
  Element* data_;
  Index batch_;
  Index height_;
  Index width_;
  Index channels_;
  Index stride_;
};

}  // namespace detail

/// Images to read, in place: [batch, height, width, channels]. Any row-major tensor of rank 4 converts to it.
template <class T>
class ConstImagesView : public detail::ImagesBase<const T> {
 public:
  using Base = detail::ImagesBase<const T>;
  using Base::Base;
  ConstImagesView(const detail::ImagesBase<T>& x)
      : Base(x.data(), x.batch(), x.height(), x.width(), x.channels(), x.stride()) {}
  ConstImagesView(const ConstTensorView<T, 4>& x)
      : Base(x.data(), x.dimension(0), x.dimension(1), x.dimension(2), x.dimension(3), x.dimension(3)) {}
  template <int Options>
  requires detail::RowMajorOptions<Options> ConstImagesView(const Eigen::Tensor<T, 4, Options>& x)
      : ConstImagesView(ConstTensorView<T, 4>(x)) {}
  template <int Options>
  requires detail::RowMajorOptions<Options> ConstImagesView(const Eigen::TensorMap<Eigen::Tensor<T, 4, Options>>& x)
      : ConstImagesView(ConstTensorView<T, 4>(x)) {}

  /// Every pixel a row of channels.
  ConstRowsView<T> rows() const { return {this->data(), this->pixels(), this->channels(), this->stride()}; }
};

/// Images to write, in place: [batch, height, width, channels].
template <class T>
class ImagesView : public detail::ImagesBase<T> {
 public:
  using Base = detail::ImagesBase<T>;
  using Base::Base;
  ImagesView(const TensorView<T, 4>& y)
      : Base(const_cast<T*>(y.data()), y.dimension(0), y.dimension(1), y.dimension(2), y.dimension(3), y.dimension(3)) {
  }
  template <int Options>
  requires detail::RowMajorOptions<Options> ImagesView(Eigen::Tensor<T, 4, Options>& y)
      : ImagesView(TensorView<T, 4>(y)) {}

  /// Every pixel a row of channels.
  RowsView<T> rows() const { return {this->data(), this->pixels(), this->channels(), this->stride()}; }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
