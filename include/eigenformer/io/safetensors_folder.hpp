#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_directory.hpp>
#include <eigenformer/io/safetensors_access.hpp>
#include <eigenformer/io/safetensors_content.hpp>
#include <eigenformer/io/shard_index.hpp>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

struct FolderOptions {
  std::string_view name = "model";  ///< files are `<name>.safetensors` or `<name>.safetensors.index.json`
  SymbolicLinks links = SymbolicLinks::inside;
  SafetensorsLimits limits = {};
};

/// The tensors of a checkpoint folder, whether they lie in one file, `model.safetensors`, or in several that
/// `model.safetensors.index.json` lists; if both are there the single file counts, as for the transformers package.
/// Members are those of SafetensorsFile. The folder may come from a stranger: each file is checked as a SafetensorsFile
/// is; files are named by one path component and do not leave the folder; index and files must agree on every tensor
/// (rules 45 to 48). All files stay open as long as the object lives.
///
///   const SafetensorsFolder checkpoint("models/llama");
///   load_parameters(checkpoint, model);
template <class Unused = void>
class BasicSafetensorsFolder : public SafetensorsAccess<BasicSafetensorsFolder<Unused>> {
 public:
  explicit BasicSafetensorsFolder(const FilePath& path, const FolderOptions& options = {})
      : BasicSafetensorsFolder(value_or_throw(try_open(path, options), path.string())) {}

  static Result<BasicSafetensorsFolder> try_open(const FilePath& path, const FolderOptions& options = {}) noexcept {
    const Result<InputDirectory> directory = InputDirectory::open(path, options.links);
    if (!directory) return directory.fault();
    BasicSafetensorsFolder folder;
    folder.source_.append(path.c_str());
    if (const Result<void> done = folder.open_files(*directory, options); !done) return done.fault();
    return folder;
  }

  /// Number of tensors.
  std::size_t size() const { return index_ ? index_->size() : shards_[0].header.size(); }
  /// The i-th tensor in the order of names.
  SafetensorsEntry operator[](std::size_t i) const { return index_ ? entry_at((*index_)[i]) : shards_[0].header[i]; }
  std::optional<SafetensorsEntry> find(std::string_view name) const {
    if (!index_) return shards_[0].header.find(name);
    const std::optional<ShardIndex::Place> place = index_->find(name);
    if (!place) return std::nullopt;
    return entry_at(*place);
  }
  /// Number of files that hold tensors.
  std::size_t shards() const { return shard_count_; }
  /// Where it came from, for messages.
  std::string source() const { return std::string(source_.view()); }
  /// Of the index if there is one, numbers as they are written there, and of the single file otherwise.
  std::optional<std::string_view> metadata(std::string_view key) const {
    return index_ ? index_->find_metadata(key) : shards_[0].header.find_metadata(key);
  }

 private:
  friend class SafetensorsAccess<BasicSafetensorsFolder<Unused>>;

  BasicSafetensorsFolder() = default;

  Result<void> open_files(const InputDirectory& directory, const FolderOptions& options) {
    FixedText<240> name(options.name);
    name.append(detail::shard_ending);
    if (!is_shard_name(name.view())) return in_file(options.name, 46, 0, "expected the name of a file");
    Result<InputFile> single = directory.open_file(name.view());
    if (single) {
      if (Result<void> room = allocate_shards(1); !room) return room;
      return open_shard(0, std::move(single), name.view(), options.limits);
    }
    if (single.fault().system_error != ENOENT) return named(single.fault(), name.view());

    const FixedText<240> index_name = FixedText<240>(name).append(".index.json");
    Result<InputFile> file = directory.open_file(index_name.view());
    if (!file && file.fault().system_error == ENOENT) {
      return in_file({}, 0, 0,
                     FixedText<240>("the folder holds neither ")
                         .append(name.view())
                         .append(" nor ")
                         .append(index_name.view())
                         .view());
    }
    if (!file) return named(file.fault(), index_name.view());
    Result<ShardIndex> index = read_index(*file, options.limits);
    if (!index) return named(index.fault(), index_name.view());
    index_ = std::move(*index);
    return open_shards(directory, options.limits, index_name.view());
  }

  static Result<ShardIndex> read_index(const InputFile& file, const SafetensorsLimits& limits) {
    const std::uint64_t most = (std::min)(limits.index_bytes, std::uint64_t{4'000'000'000});
    if (file.size() > most) {
      FixedText<240> reason("expected an index of at most ");
      return in_file({}, 45, 0, reason.append(most).append(" bytes, got ").append(file.size()).view());
    }
    Result<HeaderText> text = HeaderText::allocate(file.size());
    if (!text) return text.fault();
    if (Result<void> got = file.read(0, std::as_writable_bytes(text->characters())); !got) return got.fault();
    return ShardIndex::parse(std::move(*text), limits);
  }

  Result<void> open_shards(const InputDirectory& directory, const SafetensorsLimits& limits,
                           std::string_view index_name) {
    if (Result<void> room = allocate_shards(index_->shards()); !room) return room;
    std::size_t tensors = 0;
    for (std::size_t i = 0; i < shard_count_; ++i) {
      const FixedText<255> name = index_->shard_name(i);
      Result<InputFile> file = directory.open_file(name.view());
      if (!file && file.fault().system_error == ENOENT) {
        return in_file(name.view(), 48, 0, "the index names this file, but the folder does not hold it");
      }
      if (Result<void> opened = open_shard(i, std::move(file), name.view(), limits); !opened) return opened;
      tensors += shards_[i].header.size();
    }
    for (std::size_t i = 0; i < index_->size(); ++i) {
      const ShardIndex::Place place = (*index_)[i];
      if (shards_[place.shard].header.find(place.name)) continue;
      FileFault fault = in_file(index_name, 48, place.position, "the file that the index names does not hold it: ");
      fault.reason.append_escaped(index_->shard_name(place.shard).view());
      fault.tensor.append_escaped(place.name);
      return fault;
    }
    // Each tensor of the index is in its file; if there are as many, the reverse holds too, and none is there twice.
    return tensors == index_->size() ? Result<void>() : unlisted_tensor();
  }

  FileFault unlisted_tensor() const {
    for (std::uint32_t i = 0; i < shard_count_; ++i) {
      const SafetensorsHeader& header = shards_[i].header;
      for (std::size_t k = 0; k < header.size(); ++k) {
        const SafetensorsEntry entry = header[k];
        const std::optional<ShardIndex::Place> place = index_->find(entry.name);
        if (place && place->shard == i) continue;
        FileFault fault = in_file(index_->shard_name(i).view(), 48, entry.position,
                                  place ? "the index says that another file holds it" : "the index does not list it");
        fault.tensor.append_escaped(entry.name);
        return fault;
      }
    }
    return {};
  }

  Result<void> allocate_shards(std::size_t count) {
    shards_.reset(new (std::nothrow) SafetensorsContent[count]);
    if (!shards_) return in_file({}, 43, 0, "not enough memory for the list of files");
    shard_count_ = count;
    return {};
  }
  Result<void> open_shard(std::size_t i, Result<InputFile> file, std::string_view name,
                          const SafetensorsLimits& limits) {
    if (!file) return named(file.fault(), name);
    Result<SafetensorsContent> content = SafetensorsContent::open(std::move(*file), limits);
    if (!content) return named(content.fault(), name);
    shards_[i] = std::move(*content);
    return {};
  }

  SafetensorsEntry entry_at(const ShardIndex::Place& place) const {
    SafetensorsEntry entry = *shards_[place.shard].header.find(place.name);
    entry.shard = place.shard;
    return entry;
  }
  detail::TensorBytes bytes_of(const SafetensorsEntry& entry) const {
    const SafetensorsContent& shard = shards_[entry.shard];
    detail::TensorBytes bytes{.file = shard.bytes, .data_begin = shard.data_begin};
    if (index_) bytes.name.append_escaped(index_->shard_name(entry.shard).view());
    return bytes;
  }

  static FileFault named(FileFault fault, std::string_view file) {
    fault.file = {};
    fault.file.append_escaped(file);
    return fault;
  }
  static FileFault in_file(std::string_view file, int rule, std::uint64_t position, std::string_view reason) {
    return named(FileFault{.rule = rule, .position = position, .tensor = {}, .reason = reason}, file);
  }

  std::unique_ptr<SafetensorsContent[]> shards_;
  std::size_t shard_count_ = 0;
  std::optional<ShardIndex> index_;
  FixedText<240> source_;
};

/// The one BasicSafetensorsFolder, which is a template so that only who uses it compiles it.
using SafetensorsFolder = BasicSafetensorsFolder<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
