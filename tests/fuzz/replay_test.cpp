// SPDX-License-Identifier: MIT

#include "fuzz/adapter_target.hpp"
#include "fuzz/config_target.hpp"
#include "fuzz/llama2c_target.hpp"
#include "fuzz/targets.hpp"

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace {

/// Runs a target over its seeds and over every input that once broke it; a broken promise ends the program.
template <class Target>
int replay(const std::string& name, Target&& target) {
  int inputs = 0;
  for (const char* folder : {"corpus", "regression"}) {
    const std::filesystem::path path = std::filesystem::path(EIGENFORMER_SOURCE_DIR) / "tests/fuzz" / folder / name;
    if (!std::filesystem::exists(path)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      const support::Bytes bytes = support::read_file(entry.path());
      target(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
      ++inputs;
    }
  }
  return inputs;
}

TEST(Fuzz, header_promises_hold_for_all_that_is_kept) { EXPECT_EQ(replay("header", fuzz::header), 47); }
TEST(Fuzz, file_promises_hold_for_all_that_is_kept) { EXPECT_EQ(replay("file", fuzz::file), 48); }
TEST(Fuzz, index_promises_hold_for_all_that_is_kept) { EXPECT_EQ(replay("index", fuzz::index), 27); }
TEST(Fuzz, config_promises_hold_for_all_that_is_kept) { EXPECT_EQ(replay("config", fuzz::config), 5); }
TEST(Fuzz, adapter_promises_hold_for_all_that_is_kept) { EXPECT_EQ(replay("adapter", fuzz::adapter), 6); }
TEST(Fuzz, llama2c_promises_hold_for_all_that_is_kept) { EXPECT_EQ(replay("llama2c", fuzz::llama2c), 3); }

}  // namespace
