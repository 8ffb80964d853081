#pragma once
// SPDX-License-Identifier: MIT

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

/// Text to learn from and text to be judged by.
struct Text {
  std::string training;
  std::string held_out;
  std::size_t files = 0;
  std::uint64_t fingerprint = 0;  ///< of both parts: a run is resumed with the text that it began with
};

/// The project's own headers, tests and documents, sorted, found below `source`.
/// Throws std::runtime_error if there are none.
std::vector<std::filesystem::path> project_files(const std::filesystem::path& source);

/// Those of them that are documents, in Markdown.
std::vector<std::filesystem::path> project_documents(const std::filesystem::path& source);

/// Reads the files one after the other, cuts the whole into pieces of `piece` bytes and holds out every tenth, at most
/// 32 of them. Bytes after the last whole piece are learnt from. Throws std::runtime_error for a file that is missing,
/// unreadable or empty, or if no piece would be held out.
Text read_text(const std::vector<std::filesystem::path>& files, std::size_t piece);
