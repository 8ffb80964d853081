#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/io/shard_index.hpp>

#include "reference/safetensors.hpp"
#include "reference/shard_index.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

// What must hold for any bytes at all, one function for each kind of file. libFuzzer looks for bytes that break it
// (libfuzzer_main.cpp); replay_test.cpp goes through the seeds and through what was ever found.
namespace fuzz {

using namespace eigenformer;

inline void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// Memory of exactly that size, so that a sanitizer notices a byte too far.
class Copy {
 public:
  explicit Copy(std::string_view text) : size_(text.size()), bytes_(new std::byte[text.size()]) {
    std::copy_n(reinterpret_cast<const std::byte*>(text.data()), text.size(), bytes_.get());
  }
  std::span<const std::byte> span() const { return {bytes_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> bytes_;
};

inline void expect_located(const FileFault& fault, std::size_t bytes) {
  expect(fault.rule >= 1 && fault.rule <= 48, "a fault names its rule");
  expect(fault.position <= bytes, "a fault lies in the file");
  expect(!fault.reason.empty(), "a fault has a reason");
  for (const char character : fault.tensor.view()) {
    expect(character >= 0x20 && character < 0x7f, "names in messages are escaped");
  }
}

/// Reads a tensor as T, whatever it is stored as: right or refused, but the same for check and read.
template <class T>
void read_as(const SafetensorsFile& file, const SafetensorsEntry& entry) {
  const auto size = static_cast<std::size_t>(entry.shape.size());
  const std::unique_ptr<T[]> room(new T[size]());
  for (const Narrowing narrowing : {Narrowing::exact, Narrowing::rounded}) {
    for (const Finite finite : {Finite::unchecked, Finite::required}) {
      const ReadOptions options = {.narrowing = narrowing, .finite = finite};
      const Result<void> checked = file.try_check<T>(entry.name, entry.shape, options);
      const Result<void> read = file.try_read<T>(entry.name, entry.shape, {room.get(), size}, options);
      expect(static_cast<bool>(checked) == static_cast<bool>(read), "check tells what read does");
      if (!read) expect(read.fault().rule >= 39 && read.fault().rule <= 42, "refused by a rule of reading");
    }
  }
}

/// The bytes of a safetensors file.
inline void file(std::string_view text) {
  const Copy copy(text);
  const Result<SafetensorsFile> file = SafetensorsFile::try_open(copy.span());
  expect(static_cast<bool>(file) == reference::is_safetensors(std::string(text)), "the plain reader agrees");
  if (!file) return expect_located(file.fault(), text.size());
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < file->size(); ++i) {
    const SafetensorsEntry entry = (*file)[i];
    expect(i == 0 || (*file)[i - 1].name < entry.name, "names are sorted and differ");
    expect(file->find(entry.name)->position == entry.position, "what is listed is found");
    bytes += entry.bytes();
    read_as<float>(*file, entry);
    read_as<double>(*file, entry);
    read_as<std::int32_t>(*file, entry);
    read_as<std::uint64_t>(*file, entry);
    read_as<bool>(*file, entry);
    read_as<Eigen::bfloat16>(*file, entry);
  }
  expect(bytes <= text.size(), "tensors do not overlap");
}

/// A first byte that is the size of the data section, and the header's JSON text.
inline void header(std::string_view text) {
  if (text.empty()) return;
  const auto data_bytes = static_cast<unsigned char>(text[0]);
  const std::uint64_t length = text.size() - 1;
  std::string whole;
  for (unsigned i = 0; i < 8; ++i) whole += static_cast<char>(static_cast<unsigned char>(length >> (8 * i) & 0xffU));
  whole.append(text.substr(1)).append(data_bytes, '\1');
  file(whole);
  // With other limits the verdict may be another, but nothing else.
  const Copy copy(whole);
  const SafetensorsLimits strict = {
      .tensors = 3, .name_bytes = 7, .rank = 2, .dimension = 1000, .style = HeaderStyle::strict};
  const Result<SafetensorsFile> strictly = SafetensorsFile::try_open(copy.span(), strict);
  if (strictly) expect(static_cast<bool>(SafetensorsFile::try_open(copy.span())), "limits only forbid");
  if (!strictly) expect_located(strictly.fault(), whole.size());
}

/// The JSON text of an index of several files.
inline void index(std::string_view text) {
  Result<HeaderText> memory = HeaderText::allocate(text.size());
  std::copy(text.begin(), text.end(), memory->characters().begin());
  const Result<ShardIndex> index = ShardIndex::parse(std::move(*memory), {});
  const std::string whole(text);
  expect(static_cast<bool>(index) == reference::is_shard_index(whole) || (index && reference::has_huge_number(whole)),
         "the plain reader agrees");
  if (!index) return expect_located(index.fault(), text.size());
  for (std::size_t i = 0; i < index->size(); ++i) {
    const ShardIndex::Place place = (*index)[i];
    expect(i == 0 || (*index)[i - 1].name < place.name, "names are sorted and differ");
    expect(place.shard < index->shards(), "every tensor has a file");
    expect(is_shard_name(index->shard_name(place.shard).view()), "every file lies in the folder");
  }
}

}  // namespace fuzz
