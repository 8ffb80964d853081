#pragma once
// SPDX-License-Identifier: MIT

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>

namespace support {

/// Elements of offset from a 64-byte boundary that a sweep over alignments goes through.
inline constexpr std::ptrdiff_t alignment_offsets = 16;

/// `size` elements that begin `offset` elements after a 64-byte boundary, between two bands of guard cells. Everything
/// is filled with bytes 0xFF, which is NaN in every floating-point format: an output never written and a cell read
/// beyond the end both show in the result, and a write beyond either end shows in `untouched_outside`.
template <class T>
class GuardedBuffer {
 public:
  static constexpr std::ptrdiff_t guard = 64;

  explicit GuardedBuffer(std::ptrdiff_t size, std::ptrdiff_t offset = 0)
      : size_(size), total_(guard + offset + size + guard + boundary / element) {
    static_assert(boundary % element == 0, "64-byte boundaries fall between elements");
    if (size < 0 || offset < 0) throw std::invalid_argument("GuardedBuffer: negative size or offset");
    storage_ = std::make_unique<T[]>(static_cast<std::size_t>(total_));
    for (std::ptrdiff_t i = 0; i < total_ * element; ++i) bytes()[i] = fill;
    std::ptrdiff_t first = guard;
    while (reinterpret_cast<std::uintptr_t>(storage_.get() + first) % boundary != 0) ++first;
    begin_ = first + offset;
  }

  T* data() { return storage_.get() + begin_; }
  const T* data() const { return storage_.get() + begin_; }
  std::ptrdiff_t size() const { return size_; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](std::ptrdiff_t i) { return data()[i]; }
  const T& operator[](std::ptrdiff_t i) const { return data()[i]; }

  /// Whether the guard cells still hold what they were filled with.
  testing::AssertionResult untouched_outside() const {
    for (std::ptrdiff_t i = 0; i < total_; ++i) {
      if (i >= begin_ && i < begin_ + size_) continue;
      if (!untouched(i - begin_)) {
        return testing::AssertionFailure() << "guard cell " << i - begin_ << " of a buffer of " << size_ << " written";
      }
    }
    return testing::AssertionSuccess();
  }

  /// Whether element i, which may lie outside, was never written.
  bool untouched(std::ptrdiff_t i) const {
    for (std::ptrdiff_t b = 0; b < element; ++b) {
      if (bytes()[(begin_ + i) * element + b] != fill) return false;
    }
    return true;
  }

 private:
  static constexpr std::ptrdiff_t boundary = 64;
  static constexpr std::ptrdiff_t element = static_cast<std::ptrdiff_t>(sizeof(T));
  static constexpr unsigned char fill = 0xFF;

  unsigned char* bytes() { return reinterpret_cast<unsigned char*>(storage_.get()); }
  const unsigned char* bytes() const { return reinterpret_cast<const unsigned char*>(storage_.get()); }

  std::ptrdiff_t size_;
  std::ptrdiff_t total_;
  std::ptrdiff_t begin_ = 0;
  std::unique_ptr<T[]> storage_;
};

/// `rows` rows of `cols` elements, each `row_stride` after the one before, in a GuardedBuffer; the gaps between rows
/// are guard cells too.
template <class T>
class GuardedRows {
 public:
  GuardedRows(std::ptrdiff_t rows, std::ptrdiff_t cols, std::ptrdiff_t row_stride, std::ptrdiff_t offset = 0)
      : rows_(rows), cols_(cols), stride_(row_stride), buffer_(rows > 0 ? (rows - 1) * row_stride + cols : 0, offset) {
    if (row_stride < cols) throw std::invalid_argument("GuardedRows: rows overlap");
  }

  T* data() { return buffer_.data(); }
  const T* data() const { return buffer_.data(); }
  std::ptrdiff_t rows() const { return rows_; }
  std::ptrdiff_t cols() const { return cols_; }
  std::ptrdiff_t row_stride() const { return stride_; }
  T& operator()(std::ptrdiff_t row, std::ptrdiff_t col) { return data()[row * stride_ + col]; }
  const T& operator()(std::ptrdiff_t row, std::ptrdiff_t col) const { return data()[row * stride_ + col]; }

  testing::AssertionResult untouched_outside() const {
    for (std::ptrdiff_t row = 0; row + 1 < rows_; ++row) {
      for (std::ptrdiff_t col = cols_; col < stride_; ++col) {
        if (!buffer_.untouched(row * stride_ + col)) {
          return testing::AssertionFailure() << "gap cell " << col - cols_ << " after row " << row << " written";
        }
      }
    }
    return buffer_.untouched_outside();
  }

 private:
  std::ptrdiff_t rows_;
  std::ptrdiff_t cols_;
  std::ptrdiff_t stride_;
  GuardedBuffer<T> buffer_;
};

}  // namespace support
