#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/file_path.hpp>
#include <eigenformer/io/result.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What the system says about its last refusal, behind what was tried.
inline FileFault system_fault(std::string_view tried) noexcept {
  FileFault fault{.rule = 0, .position = 0, .tensor = {}, .reason = tried};
  fault.system_error = errno;
  fault.reason.append(": ").append(std::strerror(errno));
  return fault;
}

/// A regular file opened for reading at any position. Its size is asked of the open handle, so that nobody can exchange
/// the file between the question and the reading.
template <class = void>
class BasicInputFile {
 public:
  /// how files are opened: never blocking, never taking a terminal
  static constexpr int opening_flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

  /// Refuses everything but regular files (rule 35); a pipe without a writer does not block it.
  static Result<BasicInputFile> open(const FilePath& path) noexcept {
    return from_descriptor(::open(path.c_str(), opening_flags));
  }
  /// Takes what one of the system's functions for opening has returned, its failure included.
  static Result<BasicInputFile> from_descriptor(int descriptor) noexcept {
    BasicInputFile file;
    file.descriptor_ = descriptor;
    if (file.descriptor_ < 0) return system_fault("cannot open");
    struct stat status {};
    if (::fstat(file.descriptor_, &status) != 0) return system_fault("cannot ask for the size");
    if (!S_ISREG(status.st_mode)) {
      return FileFault{.rule = 35,
                       .position = 0,
                       .tensor = {},
                       .reason = {"expected a regular file, got a directory, pipe or device"}};
    }
    file.bytes_ = static_cast<std::uint64_t>(status.st_size);
    return file;
  }

  BasicInputFile(BasicInputFile&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), bytes_(std::exchange(other.bytes_, 0)) {}
  BasicInputFile& operator=(BasicInputFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~BasicInputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  std::uint64_t size() const { return bytes_; }

  /// Fills `room` from that position on, or reports that the file has become shorter than it was (rule 34).
  Result<void> read(std::uint64_t position, std::span<std::byte> room) const noexcept {
    while (!room.empty()) {
      constexpr std::size_t most = std::size_t{1} << 30U;
      const ssize_t got =
          ::pread(descriptor_, room.data(), (std::min)(room.size(), most), static_cast<off_t>(position));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_fault("cannot read");
      if (got == 0) {
        FileFault fault{.rule = 34,
                        .position = position,
                        .tensor = {},
                        .reason = {"the file ends before the bytes it promised; missing: "}};
        fault.reason.append(room.size());
        return fault;
      }
      room = room.subspan(static_cast<std::size_t>(got));
      position += static_cast<std::uint64_t>(got);
    }
    return {};
  }

 private:
  BasicInputFile() = default;

  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;
};

/// The one BasicInputFile, which is a template so that only who uses it compiles it.
using InputFile = BasicInputFile<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
