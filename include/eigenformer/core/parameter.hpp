#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A weight: its value, the gradient that backward adds to, and whether it is trained. `value` is a Vector for rank 1,
/// a row-major Matrix for rank 2, a Tensor above. The gradient is empty until the first backward that trains the
/// parameter; a frozen parameter never has one.
template <class T, int Rank = 1>
struct Parameter {
  using Scalar = T;
  using Value = std::conditional_t<Rank == 1, Vector<T>, std::conditional_t<Rank == 2, Matrix<T>, Tensor<T, Rank>>>;
  static constexpr int rank = Rank;

  Parameter() = default;
  explicit Parameter(Value initial) : value(std::move(initial)) {}

  Value value;
  Value gradient;
  bool trainable = true;

  Shape shape() const {
    if constexpr (Rank == 1) {
      return {value.size()};
    } else if constexpr (Rank == 2) {
      return {value.rows(), value.cols()};
    } else {
      return shape_of(value.dimensions());
    }
  }
  Index size() const { return value.size(); }

  std::span<T> values() { return {value.data(), static_cast<std::size_t>(value.size())}; }
  std::span<const T> values() const { return {value.data(), static_cast<std::size_t>(value.size())}; }
  /// Empty as long as there is no gradient.
  std::span<T> gradients() { return {gradient.data(), static_cast<std::size_t>(gradient.size())}; }
  std::span<const T> gradients() const { return {gradient.data(), static_cast<std::size_t>(gradient.size())}; }

  /// The gradient to add to: zeros of the value's shape if there was none.
  Value& accumulated_gradient() {
    if (gradient.size() != value.size()) {
      gradient = value;
      zero_gradient();
    }
    return gradient;
  }
  void zero_gradient() { std::fill_n(gradient.data(), gradient.size(), T(0)); }
};

/// The dotted name of a parameter, such as `layers.0.attention.query.weight`: a chain of parts that becomes text only
/// when asked, so that visiting a model costs no allocation.
class Name {
 public:
  constexpr Name() = default;
  constexpr Name(const Name& parent, std::string_view part) : parent_(&parent), part_(part) {}
  constexpr Name(const Name& parent, Index position) : parent_(&parent), position_(position) {}

  std::string str() const {
    std::string text = parent_ ? parent_->str() : std::string();
    const std::string own = position_ >= 0 ? std::to_string(position_) : std::string(part_);
    if (!text.empty() && !own.empty()) text += '.';
    return text + own;
  }
  friend std::ostream& operator<<(std::ostream& out, const Name& name) { return out << name.str(); }

 private:
  const Name* parent_ = nullptr;
  std::string_view part_;
  Index position_ = -1;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
