#pragma once
// SPDX-License-Identifier: MIT

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <string_view>

namespace support {

/// A copy of some bytes that ends where the program's memory ends: the byte behind it lies in a page that nobody may
/// touch, so that reading it stops the program in every build, not only under a sanitizer.
class GuardedBytes {
 public:
  explicit GuardedBytes(std::string_view bytes) : bytes_(bytes.size()) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t pages = (bytes.size() + page - 1) / page;
    mapped_ = (pages + 1) * page;
    void* const memory = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    begin_ = static_cast<std::byte*>(memory);
    if (!bytes.empty()) std::memcpy(begin_ + pages * page - bytes.size(), bytes.data(), bytes.size());
    data_ = begin_ + pages * page - bytes.size();
    if (::mprotect(begin_ + pages * page, page, PROT_NONE) != 0) throw std::bad_alloc();
  }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  ~GuardedBytes() { ::munmap(begin_, mapped_); }

  std::span<const std::byte> span() const { return {data_, bytes_}; }

 private:
  std::byte* begin_ = nullptr;
  const std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t mapped_ = 0;
};

}  // namespace support
