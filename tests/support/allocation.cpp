// SPDX-License-Identifier: MIT

#include "support/allocation.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SUPPORT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SUPPORT_SANITIZED 1
#endif
#endif

#if defined(__GLIBC__) && !defined(SUPPORT_SANITIZED)
#define SUPPORT_COUNTS_ALLOCATIONS 1
#else
#define SUPPORT_COUNTS_ALLOCATIONS 0
#endif

namespace {

// Initialised before any code runs, because malloc is called before main.
constinit std::atomic<int> counters{0};
constinit std::atomic<std::size_t> total_count{0};
constinit std::atomic<std::size_t> total_bytes{0};
constinit std::atomic<std::size_t> total_freed{0};
constinit std::atomic<std::size_t> largest_request{0};

// Requests until the one that fails; negative if none is to fail or it has failed. The initial-exec model keeps the
// access from allocating.
constexpr std::ptrdiff_t none = -1;
__attribute__((tls_model("initial-exec"))) constinit thread_local std::ptrdiff_t requests_left = none;

#if SUPPORT_COUNTS_ALLOCATIONS
void record(std::size_t size) {
  if (counters.load(std::memory_order_relaxed) == 0) return;
  total_count.fetch_add(1, std::memory_order_relaxed);
  total_bytes.fetch_add(size, std::memory_order_relaxed);
  std::size_t known = largest_request.load(std::memory_order_relaxed);
  while (size > known && !largest_request.compare_exchange_weak(known, size, std::memory_order_relaxed)) {
  }
}
void record_freed() {
  if (counters.load(std::memory_order_relaxed) != 0) total_freed.fetch_add(1, std::memory_order_relaxed);
}
/// Whether this request goes through; counts it if so.
bool admit(std::size_t size) {
  if (requests_left != none && requests_left-- == 0) {
    errno = ENOMEM;
    return false;
  }
  record(size);
  return true;
}
#endif

}  // namespace

namespace support {

AllocationCounter::AllocationCounter() {
  if (counters.fetch_add(1) == 0) largest_request = 0;
  count_before_ = total_count;
  bytes_before_ = total_bytes;
  freed_before_ = total_freed;
}
AllocationCounter::~AllocationCounter() { counters.fetch_sub(1); }
bool AllocationCounter::available() { return SUPPORT_COUNTS_ALLOCATIONS != 0; }
std::size_t AllocationCounter::count() const { return total_count - count_before_; }
std::size_t AllocationCounter::bytes() const { return total_bytes - bytes_before_; }
std::size_t AllocationCounter::largest() const { return largest_request; }
std::ptrdiff_t AllocationCounter::outstanding() const {
  return static_cast<std::ptrdiff_t>(count()) - static_cast<std::ptrdiff_t>(total_freed - freed_before_);
}

AllocationFailure::AllocationFailure(std::size_t which) { requests_left = static_cast<std::ptrdiff_t>(which); }
AllocationFailure::~AllocationFailure() { requests_left = none; }
bool AllocationFailure::happened() const { return requests_left == none; }

}  // namespace support

#if SUPPORT_COUNTS_ALLOCATIONS
// A program's own malloc takes the place of glibc's, which stays reachable under these names ("Replacing malloc" in
// glibc's manual). Operator new reaches malloc by itself.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier, readability-inconsistent-declaration-parameter-name)
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* memory);

void* malloc(std::size_t size) noexcept { return admit(size) ? __libc_malloc(size) : nullptr; }
void* calloc(std::size_t count, std::size_t size) noexcept {
  return admit(count * size) ? __libc_calloc(count, size) : nullptr;
}
void* realloc(void* memory, std::size_t size) noexcept { return admit(size) ? __libc_realloc(memory, size) : nullptr; }
void free(void* memory) noexcept {
  if (memory != nullptr) record_freed();
  __libc_free(memory);
}
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  return admit(size) ? __libc_memalign(alignment, size) : nullptr;
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return admit(size) ? __libc_memalign(alignment, size) : nullptr;
}
int posix_memalign(void** result, std::size_t alignment, std::size_t size) noexcept {
  const bool power_of_two = alignment != 0 && (alignment & (alignment - 1)) == 0;
  if (!power_of_two || alignment % sizeof(void*) != 0) return EINVAL;
  if (!admit(size)) return ENOMEM;
  void* memory = __libc_memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *result = memory;
  return 0;
}
// NOLINTEND(bugprone-reserved-identifier, readability-inconsistent-declaration-parameter-name)
}
#endif
