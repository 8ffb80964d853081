#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Whether a symbolic link may lead out of the directory that it stands in.
enum class SymbolicLinks {
  inside,   ///< an error: a stranger's folder could name any file of this machine
  anywhere  ///< let through, for caches that keep the content elsewhere and link to it, as that of the Hugging Face Hub
};

/// Whether a name from a file may be opened beside that file (rule 46): one path component on every system, not hidden
/// behind another ending, and short enough for a directory entry.
inline bool is_shard_name(std::string_view name) {
  constexpr std::string_view separators("/\\:\0", 4);
  return name.ends_with(".safetensors") && name.size() <= 255 && name.find_first_of(separators) == name.npos;
}

/// A directory out of which files are opened by names that a stranger chose. It stays the same directory if another one
/// takes its path.
template <class = void>
class BasicInputDirectory {
 public:
  static Result<BasicInputDirectory> open(const FilePath& path, SymbolicLinks links) noexcept {
    BasicInputDirectory directory(links);
    if (::realpath(path.c_str(), directory.path_.data()) == nullptr) return system_fault("cannot open the folder");
    directory.descriptor_ = ::open(directory.path_.data(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory.descriptor_ < 0) return system_fault("cannot open the folder");
    return directory;
  }

  BasicInputDirectory(BasicInputDirectory&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), links_(other.links_), path_(other.path_) {}
  BasicInputDirectory& operator=(BasicInputDirectory&&) = delete;
  ~BasicInputDirectory() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  /// Opens a regular file that lies in the directory under that name, which must be one path component.
  Result<InputFile> open_file(std::string_view name) const noexcept {
    std::array<char, 256> terminated{};
    if (name.size() >= terminated.size()) {
      errno = ENAMETOOLONG;
      return system_fault("cannot open");
    }
    std::copy(name.begin(), name.end(), terminated.begin());
    const int follow = links_ == SymbolicLinks::inside ? O_NOFOLLOW : 0;
    const int descriptor = ::openat(descriptor_, terminated.data(), InputFile::opening_flags | follow);
    if (descriptor < 0 && errno == ELOOP && links_ == SymbolicLinks::inside) return open_linked(name);
    return InputFile::from_descriptor(descriptor);
  }

 private:
  using Path = std::array<char, PATH_MAX>;

  explicit BasicInputDirectory(SymbolicLinks links) : links_(links) {}

  /// Follows a link, but only to a file below the directory (rule 47).
  Result<InputFile> open_linked(std::string_view name) const noexcept {
    const std::string_view root(path_.data());
    Path link{};
    if (root.size() + name.size() + 2 > link.size()) {
      errno = ENAMETOOLONG;
      return system_fault("cannot open");
    }
    char* end = std::copy(root.begin(), root.end(), link.begin());
    if (end[-1] != '/') *end++ = '/';
    std::copy(name.begin(), name.end(), end);
    const std::string_view inside(link.data(), static_cast<std::size_t>(end - link.data()));
    Path target{};
    if (::realpath(link.data(), target.data()) == nullptr) return system_fault("cannot open");
    if (!std::string_view(target.data()).starts_with(inside)) {
      return FileFault{.rule = 47,
                       .position = 0,
                       .tensor = {},
                       .reason = {"expected a file inside the folder, got a symbolic link that leads out of it; "
                                  "SymbolicLinks::anywhere allows it"}};
    }
    return InputFile::from_descriptor(::open(target.data(), InputFile::opening_flags | O_NOFOLLOW));
  }

  int descriptor_ = -1;
  SymbolicLinks links_;
  Path path_{};
};

/// The one BasicInputDirectory, which is a template so that only who uses it compiles it.
using InputDirectory = BasicInputDirectory<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
