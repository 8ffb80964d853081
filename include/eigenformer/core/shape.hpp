#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>
#include <eigenformer/core/error.hpp>

#include <array>
#include <initializer_list>
#include <ostream>
#include <string>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Signed, as wide as a pointer: what counts and indexes elements.
using Index = Eigen::Index;

/// The extents of a tensor of any rank up to `max_rank`, for checks and messages. Prints as `[4, 10, 256]`; a scalar's
/// is `[]`.
class Shape {
 public:
  static constexpr int max_rank = 8;

  constexpr Shape() = default;
  /// Throws ShapeError for more than max_rank dimensions.
  Shape(std::initializer_list<Index> extents) : Shape(extents.begin(), static_cast<int>(extents.size())) {}
  /// Throws ShapeError if the rank is not in 0 .. max_rank.
  Shape(const Index* extents, int rank) : rank_(rank) {
    if (rank < 0 || rank > max_rank) {
      raise(ShapeError("Shape: expected a rank of 0 to " + std::to_string(max_rank) + ", got " + std::to_string(rank)));
    }
    for (int i = 0; i < rank; ++i) extents_[static_cast<std::size_t>(i)] = extents[i];
  }

  constexpr int rank() const { return rank_; }
  /// Extent of dimension i; a negative i counts from the end, so that `shape[-1]` is the number of features.
  constexpr Index operator[](int i) const { return extents_[static_cast<std::size_t>(i < 0 ? rank_ + i : i)]; }
  constexpr Index& operator[](int i) { return extents_[static_cast<std::size_t>(i < 0 ? rank_ + i : i)]; }
  /// Number of elements: the product of the extents, 1 for a scalar.
  constexpr Index size() const {
    Index product = 1;
    for (int i = 0; i < rank_; ++i) product *= (*this)[i];
    return product;
  }
  /// Number of rows that the last dimension cuts the tensor into.
  constexpr Index rows() const {
    Index product = 1;
    for (int i = 0; i + 1 < rank_; ++i) product *= (*this)[i];
    return product;
  }

  friend constexpr bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i) {
      if (a[i] != b[i]) return false;
    }
    return true;
  }

  std::string to_string() const {
    std::string text = "[";
    for (int i = 0; i < rank_; ++i) text += (i == 0 ? "" : ", ") + std::to_string((*this)[i]);
    return text + "]";
  }
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.to_string(); }

 private:
  std::array<Index, max_rank> extents_{};
  int rank_ = 0;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
