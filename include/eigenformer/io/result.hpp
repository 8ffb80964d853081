#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/file_error.hpp>

#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Either a value or what is wrong with the file: the return type of everything in this room that does not throw.
/// Ask `if (result)` first; `*result` and `fault()` are defined on their own side only. A result is moved, not copied.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : good_(true), value_(std::move(value)) {}
  Result(const FileFault& fault) : good_(false), fault_(fault) {}
  Result(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) : good_(other.good_) {
    if (good_) {
      ::new (static_cast<void*>(&value_)) T(std::move(other.value_));
    } else {
      ::new (static_cast<void*>(&fault_)) FileFault(other.fault_);
    }
  }
  Result& operator=(Result&&) = delete;
  ~Result() {
    if (good_) value_.~T();
  }

  explicit operator bool() const { return good_; }
  T& operator*() { return value_; }
  const T& operator*() const { return value_; }
  T* operator->() { return &value_; }
  const T* operator->() const { return &value_; }
  const FileFault& fault() const { return fault_; }

 private:
  // A std::variant would do, but each type of result would compile a table of functions, in every file.
  bool good_;
  union {
    T value_;
    FileFault fault_;
  };
};

/// Done, or what is wrong.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(const FileFault& fault) : fault_(fault) {}

  explicit operator bool() const { return !fault_.has_value(); }
  const FileFault& fault() const { return *fault_; }

 private:
  std::optional<FileFault> fault_;
};

/// Takes the value, or throws FileError that names the source. The bridge from results to exceptions.
template <class T>
T value_or_throw(Result<T> result, const std::string& source) {
  if (!result) raise(FileError(result.fault(), source));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
