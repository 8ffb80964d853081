#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>
#include <eigenformer/io/element_conversion.hpp>
#include <eigenformer/io/input_file.hpp>
#include <eigenformer/io/safetensors_header.hpp>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Whether infinities and NaN are let through; the format allows them.
enum class Finite { unchecked, required };

struct ReadOptions {
  Narrowing narrowing = Narrowing::exact;
  Finite finite = Finite::unchecked;
};

/// A safetensors file: a header that says where each tensor lies, and the tensors' bytes
/// (https://huggingface.co/docs/safetensors). Everything the header claims is checked when the file is opened, by the
/// rules that FileError::rule() numbers; the file may come from a stranger. Tensors are read one by one, straight into
/// the memory they are for: opening takes no more memory than the header has bytes.
///
/// Functions named `try_...` return a Result and never throw; the others throw FileError with the same content.
/// Metadata is handed out on request and never interpreted. A const file may be read by several threads at once.
class SafetensorsFile {
 public:
  /// Opens a regular file, which stays open as long as the object lives.
  explicit SafetensorsFile(const std::filesystem::path& path, const SafetensorsLimits& limits = {})
      : SafetensorsFile(value_or_throw(try_open(path, limits), path.string())) {}
  /// Takes the content of a file from memory, which must live as long as the object.
  explicit SafetensorsFile(std::span<const std::byte> bytes, const SafetensorsLimits& limits = {})
      : SafetensorsFile(value_or_throw(try_open(bytes, limits), "bytes in memory")) {}

  static Result<SafetensorsFile> try_open(const std::filesystem::path& path,
                                          const SafetensorsLimits& limits = {}) noexcept {
    Result<InputFile> file = InputFile::open(path);
    if (!file) return file.fault();
    return SafetensorsFile(std::move(*file), path.native()).validated(limits);
  }
  static Result<SafetensorsFile> try_open(std::span<const std::byte> bytes,
                                          const SafetensorsLimits& limits = {}) noexcept {
    return SafetensorsFile(bytes, std::string_view("bytes in memory")).validated(limits);
  }

  /// Number of tensors.
  std::size_t size() const { return header_.size(); }
  /// The i-th tensor in the order of names.
  SafetensorsEntry operator[](std::size_t i) const { return header_[i]; }
  std::optional<SafetensorsEntry> find(std::string_view name) const { return header_.find(name); }
  bool contains(std::string_view name) const { return find(name).has_value(); }
  std::vector<std::string> names() const {
    std::vector<std::string> all(size());
    for (std::size_t i = 0; i < size(); ++i) all[i] = header_[i].name;
    return all;
  }
  const SafetensorsHeader& header() const { return header_; }
  /// Where it came from, for messages.
  std::string source() const { return std::string(source_.view()); }
  std::optional<std::string_view> metadata(std::string_view key) const { return header_.find_metadata(key); }

  /// Reads a tensor of exactly that shape into `destination`, converting as detail::convertible allows. After an error
  /// in the data themselves (a file cut short, a value that does not fit) the destination's content is unspecified;
  /// before any other nothing is written.
  template <StoredElement T>
  Result<void> try_read(std::string_view name, const Shape& shape, std::span<T> destination,
                        ReadOptions options = {}) const noexcept {
    const std::optional<SafetensorsEntry> entry = find(name);
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
    const std::optional<SafetensorsEntry> entry = find(name);
    if (!entry) return fault(name, 42, "no such tensor in the file");
    if (entry->shape != shape) return wrong_shape(*entry, shape);
    return transfer<T>(*entry, nullptr, options);
  }

  template <StoredElement T>
  void read(std::string_view name, const Shape& shape, std::span<T> destination, ReadOptions options = {}) const {
    value_or_throw(try_read(name, shape, destination, options), source());
  }
  /// The tensor of that name and rank.
  template <StoredElement T, int Rank>
  Tensor<T, Rank> tensor(std::string_view name, ReadOptions options = {}) const {
    const Shape shape = shape_or_throw(name);
    if (shape.rank() != Rank) {
      throw FileError(
          fault(name, 42,
                FixedText<240>("expected rank ").append(Rank).append(", got shape ").append(shape.to_string()).view()),
          source());
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

 private:
  using Source = std::variant<InputFile, std::span<const std::byte>>;

  SafetensorsFile(Source source, std::string_view name) : source_bytes_(std::move(source)), source_(name) {}

  std::uint64_t source_size() const {
    if (const auto* file = std::get_if<InputFile>(&source_bytes_)) return file->size();
    return std::get_if<1>(&source_bytes_)->size();
  }
  Result<void> read_bytes(std::uint64_t position, std::span<std::byte> room) const noexcept {
    if (const auto* file = std::get_if<InputFile>(&source_bytes_)) return file->read(position, room);
    std::copy_n(std::get_if<1>(&source_bytes_)->data() + position, room.size(), room.data());
    return {};
  }

  Result<SafetensorsFile> validated(const SafetensorsLimits& limits) && noexcept {
    const std::uint64_t size = source_size();
    if (size < 8) return FileFault{.rule = 1, .position = size, .tensor = {}, .reason = {"expected at least 8 bytes"}};
    unsigned char prefix[8];
    if (Result<void> got = read_bytes(0, std::as_writable_bytes(std::span(prefix))); !got) return got.fault();
    const Result<std::uint64_t> length = SafetensorsHeader::text_bytes(size, prefix, limits);
    if (!length) return length.fault();
    Result<SafetensorsHeader::Text> text = SafetensorsHeader::Text::allocate(*length);
    if (!text) return text.fault();
    if (Result<void> got = read_bytes(8, std::as_writable_bytes(text->characters())); !got) return got.fault();
    data_begin_ = 8 + *length;
    Result<SafetensorsHeader> header = SafetensorsHeader::parse(std::move(*text), size - data_begin_, limits);
    if (!header) return header.fault();
    header_ = std::move(*header);
    return std::move(*this);
  }

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
    std::array<std::byte, 16384> buffer;
    const std::uint64_t end = data_begin_ + entry.end;
    std::uint64_t position = data_begin_ + entry.begin;
    while (position < end) {
      const std::span<std::byte> chunk(
          buffer.data(), static_cast<std::size_t>((std::min)(std::uint64_t{buffer.size()}, end - position)));
      if (Result<void> got = read_bytes(position, chunk); !got) {
        FileFault fault = got.fault();
        fault.tensor.append_escaped(entry.name);
        return fault;
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
  static FileFault value_fault(const SafetensorsEntry& entry, std::uint64_t position, int rule,
                               std::string_view reason) {
    FileFault found = fault(entry.name, rule, reason);
    found.position = position;
    return found;
  }
  static FileFault wrong_shape(const SafetensorsEntry& entry, const Shape& expected) {
    FileFault found = fault(entry.name, 42, "expected shape ");
    found.position = entry.position;
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
    const std::optional<SafetensorsEntry> entry = find(name);
    if (!entry) throw FileError(fault(name, 42, "no such tensor in the file"), source());
    return entry->shape;
  }

  Source source_bytes_;
  FixedText<240> source_;
  SafetensorsHeader header_;
  std::uint64_t data_begin_ = 0;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
