// SPDX-License-Identifier: MIT

#include "support/file_faults.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>

// A program's own functions take the place of libc's, as its own malloc does (allocation.cpp); these go to the kernel
// directly. Only on 64-bit Linux, where the calls have one form.
#if defined(__linux__) && defined(__x86_64__)
#define SUPPORT_REPLACES_FILE_CALLS 1
#else
#define SUPPORT_REPLACES_FILE_CALLS 0
#endif

namespace {

using How = support::FileFailure::How;

constexpr std::ptrdiff_t none = -1;
constinit thread_local std::ptrdiff_t calls_left = none;
constinit thread_local How failure = How::error;

#if SUPPORT_REPLACES_FILE_CALLS
enum class Kind { transfer, other };

/// Whether this call is the one; then `errno` is set for those that fail.
bool goes_wrong(Kind kind) {
  if (calls_left == none || calls_left-- != 0) return false;
  if (failure == How::error) errno = EIO;
  if (failure == How::interrupted) errno = EINTR;
  return kind == Kind::transfer || failure == How::error;
}
std::size_t moved(std::size_t asked) { return asked < 1 ? asked : 1; }
#endif

}  // namespace

namespace support {

FileFailure::FileFailure(std::size_t which, How how) {
  failure = how;
  calls_left = static_cast<std::ptrdiff_t>(which);
}
FileFailure::~FileFailure() { calls_left = none; }
bool FileFailure::happened() const { return calls_left == none; }
bool FileFailure::available() { return SUPPORT_REPLACES_FILE_CALLS != 0; }

}  // namespace support

#if SUPPORT_REPLACES_FILE_CALLS
extern "C" {
// NOLINTBEGIN
ssize_t pread(int descriptor, void* room, std::size_t size, off_t position) {
  if (goes_wrong(Kind::transfer)) {
    if (failure == How::error || failure == How::interrupted) return -1;
    if (failure == How::at_the_end) return 0;
    size = moved(size);
  }
  return ::syscall(SYS_pread64, descriptor, room, size, position);
}
ssize_t write(int descriptor, const void* bytes, std::size_t size) {
  if (goes_wrong(Kind::transfer)) {
    if (failure == How::error || failure == How::interrupted) return -1;
    if (failure == How::one_byte) size = moved(size);
  }
  return ::syscall(SYS_write, descriptor, bytes, size);
}
int fstat(int descriptor, struct stat* status) noexcept {
  if (goes_wrong(Kind::other)) return -1;
  return static_cast<int>(::syscall(SYS_fstat, descriptor, status));
}
int fsync(int descriptor) {
  if (goes_wrong(Kind::other)) return -1;
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}
int rename(const char* from, const char* to) noexcept {
  if (goes_wrong(Kind::other)) return -1;
  return static_cast<int>(::syscall(SYS_rename, from, to));
}
int open(const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const unsigned mode = (flags & O_CREAT) != 0 ? va_arg(more, unsigned) : 0;
  va_end(more);
  if (goes_wrong(Kind::other)) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
int openat(int directory, const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const unsigned mode = (flags & O_CREAT) != 0 ? va_arg(more, unsigned) : 0;
  va_end(more);
  if (goes_wrong(Kind::other)) return -1;
  return static_cast<int>(::syscall(SYS_openat, directory, path, flags, mode));
}
// NOLINTEND
}
#endif
