// SPDX-License-Identifier: MIT

#include <filesystem>

#include "conformance/property.hpp"

namespace {

using conformance::output_of;
using conformance::small;
using conformance::Start;

CONFORMANCE_SUITE(Checkpoint);

CONFORMANCE(Checkpoint, brings_every_bit_back) {
  Start<T> start(row);
  const std::vector<T> y = output_of(*start.subject, start.x, small, start.context);
  const auto path = std::filesystem::temp_directory_path() /
                    ("eigenformer_conformance_" + row.name + "_" + std::to_string(sizeof(T)) + ".safetensors");
  start.subject->save(path.string());
  const auto loaded = row.make();
  for (const auto& parameter : loaded->stored_halves()) std::fill(parameter.bits.begin(), parameter.bits.end(), 0);
  loaded->load(path.string());
  std::filesystem::remove(path);
  EXPECT_TRUE(support::bit_equal(output_of(*loaded, start.x, small, start.context), y));
  const auto before = start.subject->parameters();
  const auto after = loaded->parameters();
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(support::bit_equal(after[i].values, before[i].values)) << before[i].name;
  }
  EXPECT_TRUE(same_halves(*loaded, *start.subject));
}

}  // namespace
