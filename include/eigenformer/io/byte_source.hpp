#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_file.hpp>

#include <cstddef>
#include <span>
#include <utility>
#include <variant>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A file's bytes, wherever they are: in an open file, or in memory that outlives this object.
class ByteSource {
 public:
  ByteSource() = default;  ///< no bytes
  /// Reads the file, which stays open.
  ByteSource(InputFile file) : bytes_(std::move(file)) {}
  /// Reads memory that someone else owns.
  ByteSource(std::span<const std::byte> memory) : bytes_(memory) {}

  std::uint64_t size() const {
    if (const auto* file = std::get_if<InputFile>(&bytes_)) return file->size();
    return std::get_if<0>(&bytes_)->size();
  }

  /// Fills `room` from that position on, which together must lie within the size.
  Result<void> read(std::uint64_t position, std::span<std::byte> room) const noexcept {
    if (const auto* file = std::get_if<InputFile>(&bytes_)) return file->read(position, room);
    std::copy_n(std::get_if<0>(&bytes_)->data() + position, room.size(), room.data());
    return {};
  }

 private:
  std::variant<std::span<const std::byte>, InputFile> bytes_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
