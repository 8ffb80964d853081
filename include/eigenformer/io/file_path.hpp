#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <concepts>
#include <string>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The name of a file, seen and not copied, so that handing one over cannot fail. It sees text that ends in NUL or a
/// std::filesystem::path, whose header takes an eighth of the time that Eigen's tensors take to compile, and is not
/// included for the sake of a name. What it sees must live as long: it is for parameters.
class FilePath {
 public:
  /// From text that ends in NUL.
  FilePath(const char* name) noexcept : name_(name) {}
  /// From text.
  FilePath(const std::string& name) noexcept : name_(name.c_str()) {}
  /// From what gives its name as a std::filesystem::path does.
  template <class Path>
  requires requires(const Path& path) {
    path.native();
    { path.c_str() } -> std::convertible_to<const char*>;
  }
  FilePath(const Path& path) noexcept : name_(path.c_str()) {}

  /// The name, ending in NUL.
  const char* c_str() const noexcept { return name_; }
  /// A copy of the name.
  std::string string() const { return name_; }

  /// A name in this folder.
  std::string operator/(std::string_view name) const {
    std::string joined = name_;
    if (!joined.empty() && joined.back() != '/') joined += '/';
    return joined.append(name);
  }

 private:
  const char* name_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
