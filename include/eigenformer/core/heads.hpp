#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// [batch, length, heads, head_dim] with strides: features of a head are contiguous, all else may lie apart, as in
/// packed projections, slices of a sequence and caches with room to grow.
template <class Element>
class HeadsBase {
 public:
  HeadsBase() = default;
  HeadsBase(Element* data, Index batch, Index length, Index heads, Index head_dim)
      : HeadsBase(data, batch, length, heads, head_dim, length * heads * head_dim, heads * head_dim, head_dim) {}
  HeadsBase(Element* data, Index batch, Index length, Index heads, Index head_dim, Index batch_stride,
            Index length_stride, Index head_stride)
      : data_(data),
        batch_(batch),
        length_(length),
        heads_(heads),
        head_dim_(head_dim),
        batch_stride_(batch_stride),
        length_stride_(length_stride),
        head_stride_(head_stride) {}

  Element* data() const { return data_; }
  Element* at(Index b, Index position, Index head) const {
    return data_ + b * batch_stride_ + position * length_stride_ + head * head_stride_;
  }

  Index batch() const { return batch_; }
  Index length() const { return length_; }
  Index heads() const { return heads_; }
  Index head_dim() const { return head_dim_; }
  Index batch_stride() const { return batch_stride_; }
  Index length_stride() const { return length_stride_; }
  Index head_stride() const { return head_stride_; }
  Shape shape() const { return {batch_, length_, heads_, head_dim_}; }

 private:
  Element* data_ = nullptr;
  Index batch_ = 0;
  Index length_ = 0;
  Index heads_ = 0;
  Index head_dim_ = 0;
  Index batch_stride_ = 0;
  Index length_stride_ = 0;
  Index head_stride_ = 0;
};

}  // namespace detail

/// Heads to read, in place: [batch, length, heads, head_dim].
template <class T>
class ConstHeadsView : public detail::HeadsBase<const T> {
 public:
  using Base = detail::HeadsBase<const T>;
  using Base::Base;
  ConstHeadsView(const detail::HeadsBase<T>& x)
      : Base(x.data(), x.batch(), x.length(), x.heads(), x.head_dim(), x.batch_stride(), x.length_stride(),
             x.head_stride()) {}
  template <int Options>
  ConstHeadsView(const Eigen::Tensor<T, 4, Options>& x) : ConstHeadsView(ConstTensorView<T, 4>(x)) {}
  ConstHeadsView(const ConstTensorView<T, 4>& x)
      : Base(x.data(), x.dimension(0), x.dimension(1), x.dimension(2), x.dimension(3)) {}

  /// The positions first … first + length - 1.
  ConstHeadsView positions(Index first, Index length) const {
    return {this->data() + first * this->length_stride(),
            this->batch(),
            length,
            this->heads(),
            this->head_dim(),
            this->batch_stride(),
            this->length_stride(),
            this->head_stride()};
  }
};

/// Heads to write, in place: [batch, length, heads, head_dim].
template <class T>
class HeadsView : public detail::HeadsBase<T> {
 public:
  using Base = detail::HeadsBase<T>;
  using Base::Base;
  template <int Options>
  HeadsView(Eigen::Tensor<T, 4, Options>& y) : HeadsView(TensorView<T, 4>(y)) {}
  HeadsView(const TensorView<T, 4>& y)
      : Base(const_cast<T*>(y.data()), y.dimension(0), y.dimension(1), y.dimension(2), y.dimension(3)) {}

  /// The positions first … first + length - 1.
  HeadsView positions(Index first, Index length) const {
    return {this->data() + first * this->length_stride(),
            this->batch(),
            length,
            this->heads(),
            this->head_dim(),
            this->batch_stride(),
            this->length_stride(),
            this->head_stride()};
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
