#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// One row of a table of names: what the model and what the file calls a parameter. A `*` stands for the number of a
/// layer and takes its place in the other name.
///   {"layers.*.attention.query.weight", "model.layers.*.self_attn.q_proj.weight"}
struct NamePair {
  std::string_view ours;    ///< name in the model
  std::string_view theirs;  ///< name in the file
};

namespace detail {

/// The number that `*` stands for in the name, empty if the pattern has none; nothing if the name is of another pattern.
inline std::optional<std::string_view> number_in(std::string_view name, std::string_view pattern) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return name == pattern ? std::optional(std::string_view()) : std::nullopt;
  const std::string_view tail = pattern.substr(star + 1);
  if (!name.starts_with(pattern.substr(0, star)) || !name.ends_with(tail)) return std::nullopt;
  if (name.size() <= star + tail.size()) return std::nullopt;
  const std::string_view number = name.substr(star, name.size() - star - tail.size());
  if (number.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  return number;
}

}  // namespace detail

/// What a file calls the parameters of a model: `prefix`, then the name that the table gives, or the model's own where
/// there is no table.
template <class = void>
struct BasicParameterNames {
  std::string prefix = {};               ///< what stands before every name in the file
  std::span<const NamePair> table = {};  ///< not owned

  /// The file's name for a parameter, or nothing if the table has no row for it.
  std::optional<std::string> in_file(std::string_view ours) const {
    if (table.empty()) return prefix + std::string(ours);
    for (const NamePair& row : table) {
      const std::optional<std::string_view> number = detail::number_in(ours, row.ours);
      if (!number) continue;
      std::string name = prefix + std::string(row.theirs);
      if (const std::size_t star = name.find('*', prefix.size()); star != std::string::npos) {
        name.replace(star, 1, *number);
      }
      return name;
    }
    return std::nullopt;
  }
};

/// The one BasicParameterNames, which is a template so that only who uses it compiles it.
using ParameterNames = BasicParameterNames<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
