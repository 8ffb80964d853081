#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors.hpp>

#include <concepts>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What parameters can be read from: named tensors whose header has been validated. SafetensorsFile is one.
///   size(), operator[]   the tensors, in the order of names
///   find, contains       one of them
///   try_check, try_read  whether it can be read as T, and reading it; errors are values
///   read                 the same; errors are thrown
///   source               where it came from, for messages
template <class S>
concept TensorSource = requires(const S& source, std::size_t i, std::string_view name, const Shape& shape,
                                std::span<float> room, ReadOptions options) {
  { source.size() } -> std::convertible_to<std::size_t>;
  { source[i] } -> std::convertible_to<SafetensorsEntry>;
  { source.find(name) } -> std::convertible_to<std::optional<SafetensorsEntry>>;
  { source.contains(name) } -> std::convertible_to<bool>;
  { source.template try_check<float>(name, shape, options) } -> std::same_as<Result<void>>;
  { source.template try_read<float>(name, shape, room, options) } -> std::same_as<Result<void>>;
  source.template read<float>(name, shape, room, options);
  { source.source() } -> std::convertible_to<std::string>;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
