#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/half.hpp>
#include <eigenformer/core/shape.hpp>

#include <unsupported/Eigen/CXX11/Tensor>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {
/// Eigen's aligned memory is allocated, read and freed by functions that depend on -mavx and the like but have the same
/// name in every translation unit, so that units with different flags free what they did not allocate. Memory from
/// plain malloc is the same for all; the kernels run as fast on it.
inline constexpr int row_major = int(Eigen::RowMajor) | int(Eigen::DontAlign);

/// Whose tensors the views see, whatever else their options say.
template <int Options>
concept RowMajorOptions = (Options & int(Eigen::RowMajor)) != 0;
}  // namespace detail

/// Row-major, the last dimension is features: `[batch, length, features]`.
template <class T, int Rank>
using Tensor = Eigen::Tensor<T, Rank, detail::row_major>;

/// Row-major, as weights lie in checkpoints: `[out_features, in_features]`.
template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, detail::row_major>;

/// A column: `[features]`, as biases and gains are.
template <class T>
using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1, Eigen::DontAlign>;

/// The matrix stored as S: rounded to the nearest, ties to even, or widened, which is exact.
template <class S, class Other>
requires(HalfPrecision<S> || HalfPrecision<Other>) Matrix<S> stored_as(const Matrix<Other>& matrix) {
  using Wide = std::conditional_t<HalfPrecision<S>, std::conditional_t<HalfPrecision<Other>, float, Other>, S>;
  Matrix<S> result(matrix.rows(), matrix.cols());
  for (Index i = 0; i < matrix.size(); ++i) result.data()[i] = rounded<S>(widened<Wide>(matrix.data()[i]));
  return result;
}

/// An Eigen tensor's dimensions as a Shape.
template <std::size_t Rank>
Shape shape_of(const std::array<Index, Rank>& dimensions) {
  return Shape(dimensions.data(), static_cast<int>(Rank));
}

/// A tensor to read in memory that someone else owns. Made without a copy from a Tensor, from a TensorMap, or from a
/// pointer and the dimensions. Assigning one view to another copies elements, as with every Eigen map.
template <class T, int Rank>
class ConstTensorView : public Eigen::TensorMap<const Tensor<T, Rank>> {
 public:
  using Map = Eigen::TensorMap<const Tensor<T, Rank>>;
  using Map::Map;
  ConstTensorView(const Map& map) : Map(map) {}
  template <int Options>
  requires detail::RowMajorOptions<Options> ConstTensorView(const Eigen::Tensor<T, Rank, Options>& tensor)
      : Map(tensor.data(), tensor.dimensions()) {}
  template <int Options>
  requires detail::RowMajorOptions<Options> ConstTensorView(
      const Eigen::TensorMap<const Eigen::Tensor<T, Rank, Options>>& map)
      : Map(map.data(), map.dimensions()) {}
  template <int Options>
  requires detail::RowMajorOptions<Options> ConstTensorView(
      const Eigen::TensorMap<Eigen::Tensor<T, Rank, Options>>& map)
      : Map(map.data(), map.dimensions()) {}

  Shape shape() const { return shape_of(this->dimensions()); }
};

/// A tensor to write in memory that someone else owns.
template <class T, int Rank>
class TensorView : public Eigen::TensorMap<Tensor<T, Rank>> {
 public:
  using Map = Eigen::TensorMap<Tensor<T, Rank>>;
  using Map::Map;
  using Map::operator=;
  /// Copies the elements.
  TensorView& operator=(const ConstTensorView<T, Rank>& other) {
    Map::operator=(static_cast<const typename ConstTensorView<T, Rank>::Map&>(other));  // Eigen knows its own maps only
    return *this;
  }
  TensorView(const Map& map) : Map(map) {}
  template <int Options>
  requires detail::RowMajorOptions<Options> TensorView(Eigen::Tensor<T, Rank, Options>& tensor)
      : Map(tensor.data(), tensor.dimensions()) {}
  template <int Options>
  requires detail::RowMajorOptions<Options> TensorView(const Eigen::TensorMap<Eigen::Tensor<T, Rank, Options>>& map)
      : Map(const_cast<T*>(map.data()), map.dimensions()) {}  // a map's constness is not its elements'

  Shape shape() const { return shape_of(this->dimensions()); }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
