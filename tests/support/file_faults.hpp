#pragma once
// SPDX-License-Identifier: MIT

#include <cstddef>

namespace support {

/// While it lives, this thread's calls of the system about files go wrong: the open, openat, fstat, pread, write, fsync
/// and rename with number `which`, counted from 0, answers as `how` says.
class FileFailure {
 public:
  enum class How {
    error,        ///< it fails with EIO
    interrupted,  ///< it fails with EINTR once, which is no failure
    one_byte,     ///< a read or write moves one byte only, which is no failure
    at_the_end    ///< a read finds the end of the file
  };
  FileFailure(std::size_t which, How how);
  ~FileFailure();
  FileFailure(const FileFailure&) = delete;
  FileFailure& operator=(const FileFailure&) = delete;

  /// Whether that many calls were made.
  bool happened() const;
  /// False where the system's functions cannot be replaced.
  static bool available();
};

}  // namespace support
