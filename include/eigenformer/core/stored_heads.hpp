#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/half.hpp>
#include <eigenformer/core/heads.hpp>
#include <eigenformer/core/int8.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What numbers that are computed with as T lie in memory as.
enum class StoredAs : unsigned char {
  scalar,    ///< T itself
  bfloat16,  ///< Bfloat16
  float16,   ///< Float16
  int8       ///< Int8, each head with a scale of its own
};

/// What heads that attention of T reads, keys and values, may be stored as: T itself, half precision, or Int8.
template <class S, class T>
concept HeadStorageOf = StorageOf<S, T> ||(std::floating_point<T>&& std::same_as<S, Int8>);

/// Heads stored as Int8: number e of a head is its code e times the head's scale. The scales lie in an array of their own,
/// so that the codes of a position's heads follow each other in whole cache lines.
template <class T>
struct QuantizedHeadsView {
  ConstHeadsView<Int8> codes;  ///< [batch, length, heads, head_dim]
  ConstHeadsView<T> scales;    ///< [batch, length, heads, 1]
};

/// Heads to read, in place, that are stored as T, Bfloat16, Float16 or Int8: [batch, length, heads, head_dim]. Which of
/// them is a matter of run time, so that what reads them is compiled once; any view or tensor of these types converts.
template <class T>
class StoredHeadsView {
 public:
  StoredHeadsView() = default;
  template <class Heads>
  requires std::is_convertible_v<const Heads&, ConstHeadsView<T>> StoredHeadsView(const Heads& x)
      : StoredHeadsView(ConstHeadsView<T>(x), StoredAs::scalar) {}
  template <class Heads>
  requires std::is_convertible_v<const Heads&, ConstHeadsView<Bfloat16>> StoredHeadsView(const Heads& x)
      : StoredHeadsView(ConstHeadsView<Bfloat16>(x), StoredAs::bfloat16) {}
  template <class Heads>
  requires std::is_convertible_v<const Heads&, ConstHeadsView<Float16>> StoredHeadsView(const Heads& x)
      : StoredHeadsView(ConstHeadsView<Float16>(x), StoredAs::float16) {}
  StoredHeadsView(const QuantizedHeadsView<T>& x) : StoredHeadsView(x.codes, StoredAs::int8) { scales_ = x.scales; }

  /// What it is stored as.
  StoredAs storage() const { return storage_; }
  /// The features of a head, for who knows the type that `storage` says.
  template <HeadStorageOf<T> S>
  const S* at(Index b, Index position, Index head) const {
    return static_cast<const S*>(data_) + b * batch_stride_ + position * length_stride_ + head * head_stride_;
  }

  /// The scale of each head if they are stored as Int8, else empty.
  const ConstHeadsView<T>& scales() const { return scales_; }

  Index batch() const { return shape_[0]; }
  Index length() const { return shape_[1]; }
  Index heads() const { return shape_[2]; }
  Index head_dim() const { return shape_[3]; }
  Index length_stride() const { return length_stride_; }
  Index head_stride() const { return head_stride_; }
  Shape shape() const { return shape_; }

 private:
  template <class S>
  StoredHeadsView(const ConstHeadsView<S>& x, StoredAs storage)
      : data_(x.data()),
        storage_(storage),
        shape_(x.shape()),
        batch_stride_(x.batch_stride()),
        length_stride_(x.length_stride()),
        head_stride_(x.head_stride()) {}

  const void* data_ = nullptr;
  StoredAs storage_ = StoredAs::scalar;
  Shape shape_{0, 0, 0, 0};
  Index batch_stride_ = 0;
  Index length_stride_ = 0;
  Index head_stride_ = 0;
  ConstHeadsView<T> scales_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
