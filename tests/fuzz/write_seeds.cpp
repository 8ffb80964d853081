// SPDX-License-Identifier: MIT
// Writes the seeds of the fuzz targets for files, the small ones among those written by hand:  fuzz_write_seeds tests/fuzz/corpus

#include "io/hand_made_files.hpp"

#include <cctype>
#include <cstdio>
#include <filesystem>

namespace {

std::string file_name(int rule, const std::string& name) {
  std::string text = std::to_string(rule) + "_";
  for (const char character : name) text += std::isalnum(static_cast<unsigned char>(character)) != 0 ? character : '_';
  return text;
}
void write(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Models of llama2.c: seven numbers and the floats that they imply.
void write_llama2c(const std::filesystem::path& folder) {
  const auto bytes = [](const std::vector<std::int32_t>& numbers, std::size_t floats) {
    std::string text;
    for (const std::int32_t number : numbers) {
      for (unsigned i = 0; i < 4; ++i)
        text += static_cast<char>(static_cast<unsigned char>(static_cast<std::uint32_t>(number) >> (8 * i) & 0xffU));
    }
    return text + std::string(4 * floats, '\1');
  };
  // dim 2, hidden 1, one layer and head, vocabulary 1, length 1: embedding 2, norms 6, attention 16, feed-forward 6,
  // angles 2; another 2 for an output of its own.
  write(folder / "tied", bytes({2, 1, 1, 1, 1, 1, 1}, 32));
  write(folder / "separate", bytes({2, 1, 1, 1, 1, -1, 1}, 34));
  write(folder / "too_short", bytes({2, 1, 1, 1, 1, 1, 1}, 31));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::filesystem::path corpus = arguments[1];
  constexpr std::size_t most = 400;
  const hand_made::Table table;
  for (const hand_made::File& file : table.files) {
    if (file.verdict != hand_made::accepted || file.bytes.size() > most) continue;
    write(corpus / "file" / file_name(file.rule, file.name), file.bytes);
    const auto header = static_cast<std::size_t>(static_cast<unsigned char>(file.bytes[0])) +
                        256 * static_cast<std::size_t>(static_cast<unsigned char>(file.bytes[1]));
    const std::string data_bytes(1, static_cast<char>(file.bytes.size() - 8 - header));
    write(corpus / "header" / file_name(file.rule, file.name), data_bytes + file.bytes.substr(8, header));
  }
  for (const hand_made::Folder& folder : table.shards) {
    if (folder.index.size() > most) continue;
    write(corpus / "index" / file_name(folder.rule, folder.name), folder.index);
  }
  write_llama2c(corpus / "llama2c");
  return 0;
}
