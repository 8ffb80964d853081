#pragma once
// SPDX-License-Identifier: MIT

#include <string>

// The rules of a safetensors file once more, slowly: a general JSON parser that builds a tree, and big integers where a
// product might overflow. It knows nothing of the library's reader and only says yes or no.
namespace reference {

/// Whether the bytes are a safetensors file.
bool is_safetensors(const std::string& file);

}  // namespace reference
