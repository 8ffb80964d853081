#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <concepts>
#include <string>
#include <string_view>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The name of a file as the system takes it. Made from text or from a std::filesystem::path, whose header takes an
/// eighth of the time that Eigen's tensors take to compile, and is not included for the sake of a name.
class FilePath {
 public:
  FilePath(const char* name) : name_(name) {}
  FilePath(std::string name) : name_(std::move(name)) {}
  FilePath(std::string_view name) : name_(name) {}
  /// From what has the name as its `native()` form, as a std::filesystem::path.
  template <class Path>
  requires requires(const Path& path) {
    { path.native() } -> std::convertible_to<const std::string&>;
  }
  FilePath(const Path& path) : name_(path.native()) {}

  const char* c_str() const { return name_.c_str(); }
  const std::string& string() const { return name_; }

  /// A name in this folder.
  FilePath operator/(std::string_view name) const {
    std::string joined = name_;
    if (!joined.empty() && joined.back() != '/') joined += '/';
    return FilePath(joined.append(name));
  }

 private:
  std::string name_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
