#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/file_error.hpp>

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Either a value or what is wrong with the file: the return type of everything in this room that does not throw.
/// Ask `if (result)` first; `*result` and `fault()` are defined on their own side only.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(const FileFault& fault) : content_(std::in_place_index<1>, fault) {}

  explicit operator bool() const { return content_.index() == 0; }
  T& operator*() { return *std::get_if<0>(&content_); }
  const T& operator*() const { return *std::get_if<0>(&content_); }
  T* operator->() { return std::get_if<0>(&content_); }
  const T* operator->() const { return std::get_if<0>(&content_); }
  const FileFault& fault() const { return *std::get_if<1>(&content_); }

 private:
  std::variant<T, FileFault> content_;
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
