#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>
#include <eigenformer/io/byte_source.hpp>
#include <eigenformer/io/element_conversion.hpp>
#include <eigenformer/io/result.hpp>
#include <eigenformer/io/safetensors_entry.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Whether infinities and NaN are let through; the format allows them.
enum class Finite { unchecked, required };

struct ReadOptions {
  Narrowing narrowing = Narrowing::exact;
  Finite finite = Finite::unchecked;
};

namespace detail {

/// Where the bytes of a tensor are: its file, where the data section begins there, and that file's name in a folder.
struct TensorBytes {
  const ByteSource& file;
  std::uint64_t data_begin = 0;
  FixedText<80> name = {};
};

}  // namespace detail

/// How tensors are asked for by name, in one file or in a folder of files. `Source` brings `size()`, `operator[](i)`,
/// `find(name)`, `source()` and `bytes_of(entry)`.
///
/// Functions named `try_...` return a Result and never throw; the others raise FileError with the same content.
template <class Source>
class SafetensorsAccess {
 public:
  bool contains(std::string_view name) const { return self().find(name).has_value(); }
  /// All names, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> all(self().size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = self()[i].name;
    return all;
  }

  /// Reads a tensor of exactly that shape into `destination`, converting as detail::convertible allows. After an error
  /// in the data themselves (a file cut short, a value that does not fit) the destination's content is unspecified;
  /// before any other nothing is written.
  template <StoredElement T>
  Result<void> try_read(std::string_view name, const Shape& shape, std::span<T> destination,
                        ReadOptions options = {}) const noexcept {
    const std::optional<SafetensorsEntry> entry = self().find(name);
    if (!entry) return fault(name, 42, "no such tensor in the file");
    if (entry->shape != shape) return wrong_shape(*entry, shape);
    if (destination.size() != static_cast<std::size_t>(shape.size())) {
      return fault(name, 42, "expected a destination as large as the tensor");
    }
    return transfer<T>(*entry, destination.data(), options);
  }
  /// Does all that try_read does, except that nothing is written: tells beforehand whether it will succeed.
  template <StoredElement T>
  Result<void> try_check(std::string_view name, const Shape& shape, ReadOptions options = {}) const noexcept {
    const std::optional<SafetensorsEntry> entry = self().find(name);
    if (!entry) return fault(name, 42, "no such tensor in the file");
    if (entry->shape != shape) return wrong_shape(*entry, shape);
    return transfer<T>(*entry, nullptr, options);
  }

  template <StoredElement T>
  void read(std::string_view name, const Shape& shape, std::span<T> destination, ReadOptions options = {}) const {
    value_or_throw(try_read(name, shape, destination, options), self().source());
  }
  /// The tensor of that name and rank.
  template <StoredElement T, int Rank>
  Tensor<T, Rank> tensor(std::string_view name, ReadOptions options = {}) const {
    const Shape shape = shape_or_throw(name);
    if (shape.rank() != Rank) {
      FixedText<240> reason("expected rank ");
      append(reason.append(Rank).append(", got shape "), shape);
      raise(FileError(fault(name, 42, reason.view()), self().source()));
    }
    Eigen::array<Index, Rank> dimensions{};
    for (int i = 0; i < Rank; ++i) dimensions[static_cast<std::size_t>(i)] = shape[i];
    Tensor<T, Rank> tensor(dimensions);
    read(name, shape, std::span<T>(tensor.data(), static_cast<std::size_t>(tensor.size())), options);
    return tensor;
  }
  /// All elements of a tensor of any shape, row-major.
  template <StoredElement T>
  requires(!std::same_as<T, bool>) std::vector<T> values(std::string_view name, ReadOptions options = {})
  const {
    const Shape shape = shape_or_throw(name);
    std::vector<T> all(static_cast<std::size_t>(shape.size()));
    read(name, shape, std::span<T>(all), options);
    return all;
  }

 protected:
  SafetensorsAccess() = default;

 private:
  const Source& self() const { return static_cast<const Source&>(*this); }

  template <class T>
  Result<void> transfer(const SafetensorsEntry& entry, T* destination, ReadOptions options) const noexcept {
    const auto refused = [&] {
      FixedText<240> reason("cannot read elements of type ");
      reason.append(eigenformer::name(entry.dtype)).append(" as ").append(eigenformer::name(dtype_of<T>));
      return Result<void>(fault(entry.name, 42, reason.view()));
    };
    return detail::with_stored_type(entry.dtype, refused(), [&]<class Stored>() -> Result<void> {
      if constexpr (detail::convertible<Stored, T>) {
        return transfer_from<Stored>(entry, destination, options);
      } else {
        return refused();
      }
    });
  }

  /// Through a small buffer on the stack, which costs one pass over memory that is in cache anyway and serves every
  /// case.
  template <class Stored, class T>
  Result<void> transfer_from(const SafetensorsEntry& entry, T* destination, ReadOptions options) const noexcept {
    const bool unchecked = detail::always_convertible<Stored, T> && options.finite == Finite::unchecked;
    std::array<std::byte, 16384> buffer;
    const detail::TensorBytes bytes = self().bytes_of(entry);
    const std::uint64_t end = bytes.data_begin + entry.end;
    std::uint64_t position = bytes.data_begin + entry.begin;
    const auto unreadable = [&](FileFault fault) {
      fault.tensor.append_escaped(entry.name);
      fault.file = bytes.name;
      return fault;
    };
    if constexpr (std::same_as<Stored, T> && std::endian::native == std::endian::little) {
      if (unchecked && destination != nullptr) {  // the bytes as they are
        const std::span<T> all(destination, static_cast<std::size_t>((end - position) / sizeof(T)));
        Result<void> got = bytes.file.read(position, std::as_writable_bytes(all));
        if (!got) return unreadable(got.fault());
        return got;
      }
    }
    while (position < end) {
      const std::span<std::byte> chunk(
          buffer.data(), static_cast<std::size_t>((std::min)(std::uint64_t{buffer.size()}, end - position)));
      if (Result<void> got = bytes.file.read(position, chunk); !got) {
        return unreadable(got.fault());
      }
      if (unchecked && destination != nullptr) {
        for (std::size_t i = 0; i < chunk.size(); i += sizeof(Stored)) {
          detail::convert<Stored>(chunk.data() + i, *destination++, options.narrowing);
        }
        position += chunk.size();
        continue;
      }
      for (std::size_t i = 0; i < chunk.size(); i += sizeof(Stored)) {
        T value{};
        if (!detail::convert<Stored>(chunk.data() + i, value, options.narrowing)) {
          return value_fault(
              entry, position + i, std::same_as<T, bool> ? 39 : 41,
              std::same_as<T, bool> ? "expected 0 or 1 as a truth value" : "a value does not fit the type asked for");
        }
        if (options.finite == Finite::required && !detail::is_finite(value)) {
          return value_fault(entry, position + i, 40, "expected finite values only");
        }
        if (destination != nullptr) *destination++ = value;
      }
      position += chunk.size();
    }
    return {};
  }

  static FileFault fault(std::string_view name, int rule, std::string_view reason) {
    FileFault fault{.rule = rule, .position = 0, .tensor = {}, .reason = reason};
    fault.tensor.append_escaped(name);
    return fault;
  }
  FileFault value_fault(const SafetensorsEntry& entry, std::uint64_t position, int rule,
                        std::string_view reason) const {
    FileFault found = fault(entry.name, rule, reason);
    found.position = position;
    found.file = self().bytes_of(entry).name;
    return found;
  }
  FileFault wrong_shape(const SafetensorsEntry& entry, const Shape& expected) const {
    FileFault found = fault(entry.name, 42, "expected shape ");
    found.position = entry.position;
    found.file = self().bytes_of(entry).name;
    append(found.reason, expected);
    found.reason.append(", got ");
    append(found.reason, entry.shape);
    return found;
  }
  template <std::size_t Capacity>
  static void append(FixedText<Capacity>& text, const Shape& shape) {
    text.append("[");
    for (int i = 0; i < shape.rank(); ++i) text.append(i == 0 ? "" : ", ").append(shape[i]);
    text.append("]");
  }

  Shape shape_or_throw(std::string_view name) const {
    const std::optional<SafetensorsEntry> entry = self().find(name);
    if (!entry) raise(FileError(fault(name, 42, "no such tensor in the file"), self().source()));
    return entry->shape;
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
