#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/core/tensor.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// Row-major Eigen matrices, maps, references and blocks of them whose rows are contiguous: what a rows view can see in
/// place.
template <class M>
concept RowMajorMatrix = std::is_base_of_v<Eigen::MatrixBase<M>, M> && bool(M::IsRowMajor) &&
                         !bool(M::IsVectorAtCompileTime) && bool(M::Flags & Eigen::DirectAccessBit) &&
                         int(Eigen::internal::inner_stride_at_compile_time<M>::ret) == 1;

/// Vectors, which are one row of features.
template <class M>
concept ContiguousVector = std::is_base_of_v<Eigen::MatrixBase<M>, M> && bool(M::IsVectorAtCompileTime) &&
                           bool(M::Flags& Eigen::DirectAccessBit) &&
                           int(Eigen::internal::inner_stride_at_compile_time<M>::ret) == 1;

/// The part that both views share: the map [rows, features], and the shape it was cut from, for messages.
template <class Element>
class RowsMap
    : public Eigen::Map<std::conditional_t<std::is_const_v<Element>, const Matrix<std::remove_const_t<Element>>,
                                           Matrix<std::remove_const_t<Element>>>,
                        0, Eigen::OuterStride<>> {
 public:
  using Map = Eigen::Map<std::conditional_t<std::is_const_v<Element>, const Matrix<std::remove_const_t<Element>>,
                                            Matrix<std::remove_const_t<Element>>>,
                         0, Eigen::OuterStride<>>;
  using Map::operator=;

  RowsMap(Element* data, Index rows, Index features, Index stride)
      : RowsMap(data, rows, features, stride, {rows, features}) {}
  RowsMap(Element* data, Index rows, Index features, Index stride, const Shape& shape)
      : Map(data, rows, features, Eigen::OuterStride<>(stride)), shape_(shape) {}
  RowsMap(Element* data, const Shape& shape)
      : Map(data, shape.rows(), shape.rank() == 0 ? 1 : shape[-1],
            Eigen::OuterStride<>(shape.rank() == 0 ? 1 : shape[-1])),
        shape_(shape) {}

  /// The shape of the tensor behind the view, as the caller sees it.
  const Shape& shape() const { return shape_; }
  Index stride() const { return this->outerStride(); }
  Index features() const { return this->cols(); }

 private:
  Shape shape_;
};

}  // namespace detail

/// What token-wise blocks read: any tensor, or any row-major Eigen matrix, seen as rows of features [N, D] in place.
/// Row n begins at `data() + n * stride()`. A vector is one row. Column-major matrices do not convert: their rows lie
/// apart.
/// @code
/// float numbers[6] = {1, 2, 3, 4, 5, 6};
/// ef::Matrix<float> y = ef::LayerNorm<float>({.dim = 3})(ef::ConstRowsView<float>(numbers, 2, 3, 3));
/// @endcode
template <class T>
class ConstRowsView : public detail::RowsMap<const T> {
 public:
  using Base = detail::RowsMap<const T>;

  ConstRowsView(const T* data, Index rows, Index features, Index stride) : Base(data, rows, features, stride) {}
  ConstRowsView(const T* data, const Shape& shape) : Base(data, shape) {}
  ConstRowsView(const detail::RowsMap<T>& y) : Base(y.data(), y.rows(), y.features(), y.stride(), y.shape()) {}
  template <int Rank, int Options>
  requires detail::RowMajorOptions<Options> ConstRowsView(const Eigen::Tensor<T, Rank, Options>& x)
      : Base(x.data(), shape_of(x.dimensions())) {}
  template <int Rank, int Options>
  requires detail::RowMajorOptions<Options> ConstRowsView(const Eigen::TensorMap<Eigen::Tensor<T, Rank, Options>>& x)
      : Base(x.data(), shape_of(x.dimensions())) {}
  template <int Rank, int Options>
  requires detail::RowMajorOptions<Options> ConstRowsView(
      const Eigen::TensorMap<const Eigen::Tensor<T, Rank, Options>>& x)
      : Base(x.data(), shape_of(x.dimensions())) {}
  template <detail::RowMajorMatrix M>
  requires std::is_same_v<typename M::Scalar, T> ConstRowsView(const M& x)
      : Base(x.derived().data(), x.rows(), x.cols(), x.outerStride()) {}
  template <detail::ContiguousVector M>
  requires std::is_same_v<typename M::Scalar, T> ConstRowsView(const M& x)
      : Base(x.derived().data(), Shape({x.size()})) {}
};

/// What token-wise blocks write: as ConstRowsView.
template <class T>
class RowsView : public detail::RowsMap<T> {
 public:
  using Base = detail::RowsMap<T>;
  using Base::operator=;

  RowsView(T* data, Index rows, Index features, Index stride) : Base(data, rows, features, stride) {}
  RowsView(T* data, const Shape& shape) : Base(data, shape) {}
  template <int Rank, int Options>
  requires detail::RowMajorOptions<Options> RowsView(Eigen::Tensor<T, Rank, Options>& y)
      : Base(y.data(), shape_of(y.dimensions())) {}
  template <int Rank, int Options>
  requires detail::RowMajorOptions<Options> RowsView(const Eigen::TensorMap<Eigen::Tensor<T, Rank, Options>>& y)
      : Base(const_cast<T*>(y.data()), shape_of(y.dimensions())) {}  // a map's constness is not its elements'
  template <detail::RowMajorMatrix M>
  requires std::is_same_v<typename M::Scalar, T> RowsView(M& y)
      : Base(y.derived().data(), y.rows(), y.cols(), y.outerStride()) {}
  template <detail::ContiguousVector M>
  requires std::is_same_v<typename M::Scalar, T> RowsView(M& y) : Base(y.derived().data(), Shape({y.size()})) {}
};

/// Throws ShapeError unless both views have the same rows and the widths named.
template <class X, class Y>
void require_rows(const X& x, Index x_features, const Y& y, Index y_features, std::string_view block,
                  std::string_view x_name = "x", std::string_view y_name = "y") {
  require_features(x_features, x.shape(), block, x_name);
  require_features(y_features, y.shape(), block, y_name);
  require(x.rows() == y.rows(), block, "expected ", y_name, " with the ", x.rows(), " rows of ", x_name, " of shape ",
          x.shape(), ", got shape ", y.shape());
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
