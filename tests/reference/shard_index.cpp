// SPDX-License-Identifier: MIT

#include "reference/shard_index.hpp"

#include "reference/json.hpp"
#include "reference/safetensors.hpp"

#include <cstdint>
#include <cstring>
#include <set>

namespace reference {

namespace {

bool is_shard_name(const std::string& name) {
  const std::string ending = ".safetensors";
  if (name.size() < ending.size() || name.size() > 255) return false;
  if (name.substr(name.size() - ending.size()) != ending) return false;
  for (const char character : name) {
    if (character == '/' || character == '\\' || character == ':' || character == '\0') return false;
  }
  return true;
}

/// Whether the text is an index; `map` becomes its weight_map.
bool is_shard_index(const std::string& text, std::map<std::string, std::string>& map) {
  // The general parser takes a zero byte for the end of the text and skips a byte-order mark.
  if (text.size() > 100'000'000 || text.empty() || text.find('\0') != std::string::npos || text[0] == '\xef')
    return false;
  const nlohmann::json tree = parse_without_duplicates(text);
  if (!tree.is_object() || !tree.contains("weight_map")) return false;
  for (const auto& [key, value] : tree.items()) {
    if ((key != "weight_map" && key != "metadata") || !value.is_object()) return false;
    for (const auto& [name, content] : value.items()) {
      if (key == "metadata") {
        if (name.empty() || name.size() > 4096 || content.is_structured()) return false;
        continue;
      }
      if (!is_valid_tensor_name(name) || !content.is_string() || !is_shard_name(content.get<std::string>()))
        return false;
      map[name] = content.get<std::string>();
    }
    if (key == "metadata" && value.size() > 64) return false;
  }
  std::set<std::string> shards;
  for (const auto& [name, shard] : map) shards.insert(shard);
  return shards.size() <= 10'000;
}
/// The names of the tensors of a valid file.
std::set<std::string> tensor_names(const std::string& file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  std::set<std::string> names;
  const nlohmann::json tree = nlohmann::json::parse(file.substr(8, length));
  for (const auto& [name, value] : tree.items()) {
    if (name != "__metadata__") names.insert(name);
  }
  return names;
}

}  // namespace

bool is_shard_index(const std::string& text) {
  std::map<std::string, std::string> map;
  return is_shard_index(text, map);
}

bool has_huge_number(const std::string& text) {
  try {
    const nlohmann::json tree = nlohmann::json::parse(text);
    return tree.is_discarded();
  } catch (const nlohmann::json::out_of_range&) {
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

bool is_sharded_checkpoint(const std::string& index, const std::map<std::string, std::string>& files) {
  std::map<std::string, std::string> map;
  if (!is_shard_index(index, map)) return false;
  std::map<std::string, std::set<std::string>> expected;
  for (const auto& [name, shard] : map) expected[shard].insert(name);
  for (const auto& [shard, names] : expected) {
    const auto file = files.find(shard);
    if (file == files.end() || !is_safetensors(file->second) || tensor_names(file->second) != names) return false;
  }
  return true;
}

}  // namespace reference
