// SPDX-License-Identifier: MIT
// Writes the seeds of the fuzz targets, the small ones among the files written by hand:  fuzz_write_seeds tests/fuzz/corpus

#include "io/hand_made_files.hpp"

#include <cctype>
#include <cstdio>

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
  return 0;
}
