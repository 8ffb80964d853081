#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/half.hpp>
#include <eigenformer/core/tensor.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// What all parameters have: `value`, a Vector for rank 1, a row-major Matrix for rank 2, a Tensor above.
template <class T, int Rank>
struct ParameterValue {
  using Scalar = T;
  using Value = std::conditional_t<Rank == 1, Vector<T>, std::conditional_t<Rank == 2, Matrix<T>, Tensor<T, Rank>>>;
  static constexpr int rank = Rank;

  ParameterValue() = default;
  explicit ParameterValue(Value initial) : value(std::move(initial)) {}

  Value value;

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
};

}  // namespace detail

/// A weight: its value, the gradient that backward adds to, and whether it is trained. The gradient is empty until the
/// first backward that trains the parameter; a frozen parameter never has one.
template <class T, int Rank = 1>
struct Parameter : detail::ParameterValue<T, Rank> {
  using Base = detail::ParameterValue<T, Rank>;
  using Base::Base;
  using Base::value;
  using typename Base::Value;
  static constexpr bool learnable = true;  ///< whether there is a gradient to speak of

  Value gradient;         ///< empty, or of the shape of `value`
  bool trainable = true;  ///< whether backward computes its gradient

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
  /// Sets the gradient, if there is one, to zero.
  void zero_gradient() { std::fill_n(gradient.data(), gradient.size(), T(0)); }
};

/// A weight stored in half precision: read, saved and loaded like any other, but never trained. A step of training is
/// mostly smaller than what rounding to so few digits would lose. So it has no gradient, and asking for one does not
/// compile; `visit_learnable` passes it by.
template <HalfPrecision S, int Rank>
struct Parameter<S, Rank> : detail::ParameterValue<S, Rank> {
  using Base = detail::ParameterValue<S, Rank>;
  using Base::Base;
  static constexpr bool learnable = false;  ///< has no gradient
  static constexpr bool trainable = false;  ///< is never trained
};

/// What a block gathers while it is trained, such as a running mean: visited, saved and loaded as parameters are, but
/// never trained. It has no gradient, `visit_learnable` passes it by, and `parameter_count` does not count it.
template <class T, int Rank = 1>
struct Statistic : detail::ParameterValue<T, Rank> {
  using Base = detail::ParameterValue<T, Rank>;
  using Base::Base;
  static constexpr bool learnable = false;  ///< has no gradient
  static constexpr bool trainable = false;  ///< is never trained
};

/// The dotted name of a parameter, such as `layers.0.attention.query.weight`: a chain of parts that becomes text only
/// when asked, so that visiting a model costs no allocation.
class Name {
 public:
  constexpr Name() = default;
  /// A part of what `parent` names, which must outlive it.
  constexpr Name(const Name& parent, std::string_view part) : parent_(&parent), part_(part) {}
  /// An element of the list that `parent` names, which must outlive it.
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
