#pragma once
// SPDX-License-Identifier: MIT

#include <nlohmann/json.hpp>

#include <set>
#include <string>
#include <vector>

// What the references of files share: a general JSON parser, and names.
namespace reference {

/// The JSON text as a tree, or discarded if it is none or has a key twice in one object.
inline nlohmann::json parse_without_duplicates(const std::string& text) {
  std::vector<std::set<std::string>> keys;
  bool duplicate = false;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    if (event == nlohmann::json::parse_event_t::object_start) keys.emplace_back();
    if (event == nlohmann::json::parse_event_t::object_end) keys.pop_back();
    if (event == nlohmann::json::parse_event_t::key) duplicate |= !keys.back().insert(parsed.get<std::string>()).second;
    return true;
  };
  nlohmann::json tree = nlohmann::json::parse(text, watch, false);
  return duplicate ? nlohmann::json(nlohmann::json::value_t::discarded) : tree;
}

inline bool is_valid_tensor_name(const std::string& name) {
  if (name.empty() || name.size() > 4096) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto byte = static_cast<unsigned char>(name[i]);
    if (byte < 0x20 || byte == 0x7f) return false;
    if (byte == 0xc2 && static_cast<unsigned char>(name[i + 1]) < 0xa0) return false;
  }
  return true;
}

}  // namespace reference
