#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_file.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A file's bytes, wherever they are: in an open file, or in memory that outlives this object.
template <class = void>
class BasicByteSource {
 public:
  BasicByteSource() = default;  ///< no bytes
  /// Reads the file, which stays open.
  BasicByteSource(InputFile file) : file_(std::move(file)) {}
  /// Reads memory that someone else owns.
  BasicByteSource(std::span<const std::byte> memory) : memory_(memory) {}

  std::uint64_t size() const { return file_ ? file_->size() : memory_.size(); }

  /// Fills `room` from that position on, which together must lie within the size.
  Result<void> read(std::uint64_t position, std::span<std::byte> room) const noexcept {
    if (file_) return file_->read(position, room);
    std::copy_n(memory_.data() + position, room.size(), room.data());
    return {};
  }

 private:
  std::optional<InputFile> file_;
  std::span<const std::byte> memory_;
};

/// The one BasicByteSource, which is a template so that only who uses it compiles it.
using ByteSource = BasicByteSource<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
