// SPDX-License-Identifier: MIT
// The unit with exceptions of a program whose other unit has none: the same functions of the library must throw here.

#include <eigenformer/io/safetensors.hpp>

#include <filesystem>

bool throws_here();

bool throws_here() {
  try {
    const eigenformer::SafetensorsFile absent(std::filesystem::path("/nowhere/absent"));
  } catch (const eigenformer::FileError&) {
    return true;
  }
  return false;
}
