// SPDX-License-Identifier: MIT

#include "text.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& file) {
  if (fs::is_directory(file)) throw std::runtime_error("cannot read '" + file.string() + "': it is a directory");
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream bytes;
  if (stream) bytes << stream.rdbuf();
  if (!stream.is_open()) {
    throw std::runtime_error("cannot read '" + file.string() + "': " + std::strerror(errno == 0 ? EIO : errno));
  }
  if (bytes.str().empty()) throw std::runtime_error("'" + file.string() + "' is empty");
  return bytes.str();
}

bool is_text_of_project(const fs::path& file) {
  static const std::vector<std::string> endings = {".hpp", ".inl", ".cpp", ".md", ".cmake", ".txt"};
  return std::find(endings.begin(), endings.end(), file.extension().string()) != endings.end();
}

/// FNV-1a (Fowler, Noll, Vo) over 64 bits.
std::uint64_t fingerprint(const std::string& bytes, std::uint64_t hash) {
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
  return hash;
}

}  // namespace

std::vector<fs::path> project_files(const fs::path& source) {
  std::vector<fs::path> files;
  for (const char* folder : {"include", "tests", "bench", "examples", "cmake"}) {
    if (!fs::is_directory(source / folder)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(source / folder)) {
      if (entry.is_regular_file() && is_text_of_project(entry.path())) files.push_back(entry.path());
    }
  }
  for (const char* name : {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CMakeLists.txt"}) {
    if (fs::is_regular_file(source / name)) files.push_back(source / name);
  }
  std::erase_if(files, [](const fs::path& file) { return fs::file_size(file) == 0; });
  if (files.empty()) {
    throw std::runtime_error("no project files below '" + source.string() + "': name some with --text FILE...");
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> project_documents(const fs::path& source) {
  std::vector<fs::path> files = project_files(source);
  std::erase_if(files, [](const fs::path& file) { return file.extension() != ".md"; });
  return files;
}

Text read_text(const std::vector<fs::path>& files, std::size_t piece) {
  constexpr std::size_t every = 10;
  constexpr std::size_t most_held_out = 32;
  std::string all;
  for (const fs::path& file : files) all += content(file);
  if (all.size() < 2 * piece + 1) {
    throw std::runtime_error("too little text: expected at least " + std::to_string(2 * piece + 1) + " bytes, got " +
                             std::to_string(all.size()) + "; a smaller --length needs less");
  }
  Text text;
  text.files = files.size();
  std::size_t held_out = 0;
  for (std::size_t begin = 0; begin < all.size(); begin += piece) {
    // The fifth of every ten; the second where there are not five.
    const bool whole = begin + piece <= all.size();
    const std::size_t chosen = all.size() / piece < every ? 1 : every / 2 - 1;
    if (whole && begin / piece % every == chosen && held_out < most_held_out) {
      text.held_out.append(all, begin, piece);
      ++held_out;
    } else {
      text.training.append(all, begin, piece);
    }
  }
  text.fingerprint = fingerprint(text.held_out, fingerprint(text.training, 0xcbf29ce484222325U));
  return text;
}
