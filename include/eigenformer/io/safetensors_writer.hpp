#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/json_text.hpp>
#include <eigenformer/io/output_file.hpp>
#include <eigenformer/io/parameter_names.hpp>
#include <eigenformer/io/safetensors_header.hpp>
#include <eigenformer/io/shard_index.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

struct ShardOptions {
  std::uint64_t shard_bytes = 5'000'000'000;  ///< of tensors in one file, at most
  std::string name = "model";                 ///< what the files' names begin with
};

/// Collects tensors and writes them as one safetensors file. The same tensors and metadata give the same bytes, in
/// whatever order they were added: wider elements come first and names decide among equals, so that every tensor is
/// aligned for its type, and the data section for 64-bit words. The elements are not copied; they must live until
/// `write`.
///
///   SafetensorsWriter writer;
///   writer.metadata["step"] = "100";
///   writer.add<float>("weight", {out, in}, weight);
///   writer.write("model.safetensors");
template <class = void>
class BasicSafetensorsWriter {
 public:
  std::map<std::string, std::string> metadata;

  /// A tensor, whose elements must live until write.
  template <StoredElement T>
  void add(std::string name, const Shape& shape, std::span<const T> values) {
    static_assert(std::endian::native == std::endian::little,
                  "files are little-endian; this host would have to convert");
    tensors_.push_back({std::move(name), dtype_of<T>, shape, std::as_bytes(values)});
  }
  /// Adds every parameter of a block, under its dotted name behind `prefix`.
  template <class Model>
  void add_parameters(const Model& model, const std::string& prefix = {}) {
    add_parameters(model, ParameterNames{.prefix = prefix});
  }
  /// The same under the names that the file is to use. Throws FileError for a parameter without one.
  template <class Model>
  void add_parameters(const Model& model, const ParameterNames& names) {
    value_or_throw(try_add_parameters(model, names), "a model to be written");
  }
  /// Adds those before the first parameter without a name, and returns the fault.
  template <class Model>
  Result<void> try_add_parameters(const Model& model, const ParameterNames& names = {}) {
    Result<void> done;
    model.visit_parameters([&](const auto& name, const auto& parameter) {
      std::optional<std::string> in_file = names.in_file(name.str());
      if (!in_file && done) done = unnamed(name.str());
      if (done) add(std::move(*in_file), parameter.shape(), parameter.values());
    });
    return done;
  }

  /// Replaces the file of that name, at once and only if all went well. Raises FileError if a name is empty, too long,
  /// not UTF-8, given twice or `__metadata__`, if values and shape differ in number, or if the file cannot be written.
  void write(const FilePath& path) const { value_or_throw(try_write(path), path.string()); }
  /// Does not raise, except std::bad_alloc; nothing is left of the file in either case.
  Result<void> try_write(const FilePath& path) const { return write_file(path, in_file_order(tensors_)); }

  /// Writes into an existing folder what SafetensorsFolder reads: `<name>.safetensors` if that is no larger than a shard
  /// may be, and else shards with an index, as the transformers package names them. A tensor larger than a shard has one
  /// of its own. Of an earlier checkpoint of that name the file that the reader would prefer is removed, last of all.
  void write_folder(const FilePath& folder, const ShardOptions& options = {}) const {
    value_or_throw(try_write_folder(folder, options), folder.string());
  }
  /// write_folder with the failure as a value; of what it had written before one, complete files may be left.
  Result<void> try_write_folder(const FilePath& folder, const ShardOptions& options = {}) const {
    const std::string single = folder / (options.name + ".safetensors");
    const std::string index = folder / (options.name + ".safetensors.index.json");
    const std::vector<std::vector<Tensor>> shards = split(options.shard_bytes);
    if (shards.size() <= 1) {
      if (Result<void> done = try_write(single); !done) return done;
      return remove(index);
    }
    const std::vector<Tensor> all = in_file_order(tensors_);
    if (Result<void> good = check(header_of(all), all); !good) return good;
    const std::string text = index_of(shards, options.name);
    if (Result<void> good = check_index(text); !good) return good;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      const std::string path = folder / shard_name(options.name, i, shards.size());
      if (Result<void> done = write_file(path, in_file_order(shards[i])); !done) return done;
    }
    if (Result<void> done = write_bytes(index, {std::as_bytes(std::span(text))}); !done) return done;
    return remove(single);
  }

 private:
  struct Tensor {
    std::string name;
    Dtype dtype;
    Shape shape;
    std::span<const std::byte> bytes;
  };

  static FileFault unnamed(const std::string& name) {
    FileFault fault{.rule = 42, .position = 0, .tensor = {}, .reason = {"expected a name for it in the table"}};
    fault.tensor.append_escaped(name);
    return fault;
  }

  static std::vector<Tensor> in_file_order(std::vector<Tensor> sorted) {
    sort(sorted, [](const Tensor& a, const Tensor& b) {
      return bits(a.dtype) != bits(b.dtype) ? bits(a.dtype) > bits(b.dtype) : a.name < b.name;
    });
    return sorted;
  }
  /// One function for both orders: std::sort is long, and every file that includes this header compiles it.
  static void sort(std::vector<Tensor>& tensors, bool (*before)(const Tensor&, const Tensor&)) {
    std::sort(tensors.begin(), tensors.end(), before);
  }

  Result<void> write_file(const FilePath& path, const std::vector<Tensor>& sorted) const {
    const std::string header = header_of(sorted);
    if (Result<void> good = check(header, sorted); !good) return good;
    std::array<std::byte, 8> length{};
    for (unsigned i = 0; i < 8; ++i)
      length[i] = static_cast<std::byte>(std::uint64_t{header.size()} >> (8 * i) & 0xffU);
    std::vector<std::span<const std::byte>> pieces = {length, std::as_bytes(std::span(header))};
    for (const Tensor& tensor : sorted) pieces.push_back(tensor.bytes);
    return write_bytes(path, pieces);
  }
  static Result<void> write_bytes(const FilePath& path, const std::vector<std::span<const std::byte>>& pieces) {
    Result<OutputFile> file = OutputFile::create(path);
    if (!file) return file.fault();
    for (const std::span<const std::byte> piece : pieces) {
      if (Result<void> done = file->write(piece); !done) return done;
    }
    return std::move(*file).commit();
  }
  static Result<void> remove(const FilePath& path) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return system_fault("cannot remove the file that the new ones replace");
  }

  /// In the order of names, as many into each shard as fit.
  std::vector<std::vector<Tensor>> split(std::uint64_t shard_bytes) const {
    std::vector<Tensor> sorted = tensors_;
    sort(sorted, [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
    std::vector<std::vector<Tensor>> shards;
    std::uint64_t bytes = 0;
    for (Tensor& tensor : sorted) {
      if (shards.empty() || (bytes != 0 && tensor.bytes.size() > shard_bytes - (std::min)(bytes, shard_bytes))) {
        shards.emplace_back();
        bytes = 0;
      }
      bytes += tensor.bytes.size();
      shards.back().push_back(std::move(tensor));
    }
    return shards;
  }
  /// `model-00002-of-00007.safetensors`
  static std::string shard_name(const std::string& name, std::size_t i, std::size_t count) {
    const auto padded = [](std::size_t number) {
      const std::string digits = std::to_string(number);
      return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
    };
    return name + "-" + padded(i + 1) + "-of-" + padded(count) + ".safetensors";
  }
  std::string index_of(const std::vector<std::vector<Tensor>>& shards, const std::string& name) const {
    std::uint64_t total = 0;
    std::string map;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      const std::string file = detail::json_quoted(shard_name(name, i, shards.size()));
      for (const Tensor& tensor : shards[i]) {
        map += (map.empty() ? "" : ",\n") + detail::json_quoted(tensor.name) + ":" + file;
        total += tensor.bytes.size();
      }
    }
    std::string text = "{\"metadata\":{\"total_size\":" + std::to_string(total);
    for (const auto& [key, value] : metadata) {
      if (key != "total_size") text += "," + detail::json_quoted(key) + ":" + detail::json_quoted(value);
    }
    return text + "},\n\"weight_map\":{\n" + map + "}}\n";
  }
  static Result<void> check_index(const std::string& index) {
    Result<HeaderText> text = HeaderText::allocate(index.size());
    if (!text) return text.fault();
    std::copy(index.begin(), index.end(), text->characters().begin());
    const Result<ShardIndex> parsed = ShardIndex::parse(std::move(*text), {});
    return parsed ? Result<void>() : parsed.fault();
  }

  std::string header_of(const std::vector<Tensor>& sorted) const {
    std::string text = "{";
    if (!metadata.empty()) {
      text += "\"__metadata__\":{";
      for (const auto& [key, value] : metadata)
        text += detail::json_quoted(key) + ":" + detail::json_quoted(value) + ",";
      text.back() = '}';
      text += ',';
    }
    std::size_t begin = 0;
    for (const Tensor& tensor : sorted) {
      text += detail::json_quoted(tensor.name) + ":{\"dtype\":\"" + std::string(eigenformer::name(tensor.dtype)) +
              "\",\"shape\":[";
      for (int i = 0; i < tensor.shape.rank(); ++i) text += (i == 0 ? "" : ",") + std::to_string(tensor.shape[i]);
      text +=
          "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(begin + tensor.bytes.size()) + "]},";
      begin += tensor.bytes.size();
    }
    if (text.size() > 1) text.pop_back();
    text += '}';
    text.append((8 - text.size() % 8) % 8, ' ');
    return text;
  }

  /// Has the reader judge the header before anything is written, so that we never write what we would refuse to read.
  static Result<void> check(const std::string& header, const std::vector<Tensor>& sorted) {
    std::uint64_t data_bytes = 0;
    for (const Tensor& tensor : sorted) data_bytes += tensor.bytes.size();
    Result<HeaderText> text = HeaderText::allocate(header.size());
    if (!text) return text.fault();
    std::copy(header.begin(), header.end(), text->characters().begin());
    const Result<SafetensorsHeader> parsed = SafetensorsHeader::parse(std::move(*text), data_bytes, {});
    return parsed ? Result<void>() : parsed.fault();
  }

  std::vector<Tensor> tensors_;
};

/// The one BasicSafetensorsWriter, which is a template so that only who uses it compiles it.
using SafetensorsWriter = BasicSafetensorsWriter<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
