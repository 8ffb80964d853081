#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A file that appears under its name only when it is complete: it is written under another name in the same directory
/// and renamed by `commit`. Whoever reads the name sees the old file or the whole new one, also after a crash or on a
/// full disk; without `commit` nothing remains.
template <class = void>
class BasicOutputFile {
 public:
  /// Begins a file beside `path`, under another name.
  static Result<BasicOutputFile> create(const FilePath& path) {
    BasicOutputFile file;
    file.target_ = path.string();
    constexpr int attempts = 100;  // names that another writer, or one that crashed, may hold
    for (int i = 0; i < attempts && file.descriptor_ < 0; ++i) {
      file.partial_ = file.target_ + ".partial" + std::to_string(i);
      file.descriptor_ = ::open(file.partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (file.descriptor_ < 0 && errno != EEXIST) break;
    }
    if (file.descriptor_ < 0) return system_fault("cannot create");
    return file;
  }

  BasicOutputFile(BasicOutputFile&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)),
        target_(std::move(other.target_)),
        partial_(std::move(other.partial_)) {}
  BasicOutputFile& operator=(BasicOutputFile&&) = delete;
  ~BasicOutputFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(partial_.c_str());
  }

  /// Appends to what was written.
  Result<void> write(std::span<const std::byte> bytes) noexcept {
    while (!bytes.empty()) {
      constexpr std::size_t most = std::size_t{1} << 30U;
      const ssize_t put = ::write(descriptor_, bytes.data(), (std::min)(bytes.size(), most));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return system_fault("cannot write");
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
  }

  /// Makes the content durable, then gives it its name.
  Result<void> commit() && noexcept {
    if (::fsync(descriptor_) != 0) return system_fault("cannot write");
    if (std::rename(partial_.c_str(), target_.c_str()) != 0) return system_fault("cannot rename to the target");
    ::close(std::exchange(descriptor_, -1));
    return {};
  }

 private:
  BasicOutputFile() = default;

  int descriptor_ = -1;
  std::string target_, partial_;
};

/// The one BasicOutputFile, which is a template so that only who uses it compiles it.
using OutputFile = BasicOutputFile<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
