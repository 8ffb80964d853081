#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/buffer.hpp>

#include <algorithm>
#include <cstring>
#include <memory>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Memory for intermediate results, handed out from the front and taken back in scopes. It grows by whole chunks and
/// gives none back, so that the second call with a shape finds all it needs.
template <class = void>
class BasicScratchArena {
 public:
  /// Where the arena stands; `release` goes back to it.
  struct Mark {
    std::size_t chunk = 0;  ///< which piece of memory is in use
    std::size_t used = 0;   ///< how much of it is taken
  };

  /// Uninitialised memory at the start of a cache line, valid until the arena goes back before it.
  std::byte* take(std::size_t bytes) {
    const std::size_t rounded = (bytes + detail::cache_line - 1) / detail::cache_line * detail::cache_line;
    while (mark_.chunk < chunks_.size() && chunks_[mark_.chunk].size - mark_.used < rounded)
      mark_ = {mark_.chunk + 1, 0};
    if (mark_.chunk == chunks_.size())
      chunks_.emplace_back((std::max)(rounded, (std::max)(first_chunk, 2 * capacity())));
    std::byte* const memory = chunks_[mark_.chunk].memory.get() + mark_.used;
    mark_.used += rounded;
    return memory;
  }

  /// How much is taken now.
  Mark mark() const { return mark_; }
  /// Gives back all that was taken since the mark.
  void release(const Mark& mark) { mark_ = mark; }

  /// Bytes held, whether in use or not.
  std::size_t capacity() const {
    std::size_t bytes = 0;
    for (const Chunk& chunk : chunks_) bytes += chunk.size;
    return bytes;
  }

  /// Overwrites what is not in use with all-ones bits, NaN in every floating-point type, so that a test sees who reads
  /// memory that was never written.
  void poison() {
    for (std::size_t i = mark_.chunk; i < chunks_.size(); ++i) {
      const std::size_t used = i == mark_.chunk ? mark_.used : 0;
      std::memset(chunks_[i].memory.get() + used, 0xff, chunks_[i].size - used);
    }
  }

 private:
  static constexpr std::size_t first_chunk = std::size_t{1} << 16;

  struct Free {
    void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t(detail::cache_line)); }
  };
  struct Chunk {
    explicit Chunk(std::size_t bytes)
        : memory(static_cast<std::byte*>(::operator new(bytes, std::align_val_t(detail::cache_line)))), size(bytes) {}
    std::unique_ptr<std::byte, Free> memory;
    std::size_t size;
  };

  std::vector<Chunk> chunks_;
  Mark mark_;
};

/// The one BasicScratchArena, which is a template so that only who uses it compiles it.
using ScratchArena = BasicScratchArena<>;

/// Takes scratch memory of an arena for the length of a scope:
///   ScratchScope scope(context.scratch());
///   float* scores = scope.take<float>(rows * columns);
/// Scopes nest; memory of an inner scope is gone with it. Only the thread that owns the Context may take.
class ScratchScope {
 public:
  /// Gives back at its end what was taken through it.
  explicit ScratchScope(ScratchArena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ScratchScope() { arena_.release(mark_); }
  ScratchScope(const ScratchScope&) = delete;
  ScratchScope& operator=(const ScratchScope&) = delete;

  /// `count` uninitialised elements at the start of a cache line.
  template <class T>
  T* take(Index count) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    return reinterpret_cast<T*>(arena_.take(static_cast<std::size_t>(count) * sizeof(T)));
  }
  /// The same as a view of rows [rows, features].
  template <class T>
  RowsView<T> rows(Index rows, Index features) {
    return RowsView<T>(take<T>(rows * features), rows, features, features);
  }

 private:
  ScratchArena& arena_;
  ScratchArena::Mark mark_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
