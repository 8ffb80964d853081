#pragma once
// SPDX-License-Identifier: MIT

#include <map>
#include <string>

// The rules of a checkpoint in several files once more, over a general JSON parser. It knows nothing of the library's
// reader and only says yes or no.
namespace reference {

/// Whether the text is an index.
bool is_shard_index(const std::string& text);

/// Whether the text has a number beyond the range of double, which the general parser refuses and JSON does not.
bool has_huge_number(const std::string& text);

/// Whether index and files, by name, agree on every tensor.
bool is_sharded_checkpoint(const std::string& index, const std::map<std::string, std::string>& files);

}  // namespace reference
