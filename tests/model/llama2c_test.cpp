// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama2c.hpp>

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace {

namespace ef = eigenformer;

// What is read parameter by parameter is tested with the file; here, that the model gets it.
TEST(Llama2c, every_parameter_is_read) {
  const support::TemporaryDirectory directory;
  const std::vector<std::int32_t> numbers = {12, 7, 2, 6, 3, -5, 11};
  constexpr std::size_t floats = 60 + 2 * (12 + 144 + 72 + 72 + 144 + 12 + 84 + 84 + 84) + 12 + 22 + 60;
  support::Bytes bytes(28 + 4 * floats);
  std::memcpy(bytes.data(), numbers.data(), 28);
  for (std::size_t i = 0; i < floats; ++i) {
    const auto value = static_cast<float>(i);
    std::memcpy(bytes.data() + 28 + 4 * i, &value, 4);
  }
  support::write_file(directory / "m.bin", bytes);
  using Model = ef::LlamaDecoder<float, ef::Linear<float>>;
  const auto model = ef::load_llama2c<Model>(ef::Llama2cFile(directory / "m.bin"));
  std::vector<bool> seen(floats);
  model.visit_parameters([&](const ef::Name& name, const auto& parameter) {
    for (const float value : parameter.values()) {
      ASSERT_TRUE(value >= 0 && value < static_cast<float>(floats)) << name;
      seen[static_cast<std::size_t>(value)] = true;
    }
  });
  EXPECT_EQ(std::count(seen.begin(), seen.end(), false), 22) << "the two tables of angles, which nothing reads";
  EXPECT_EQ(model.output.weight.value(0, 0), static_cast<float>(floats - 60));
  using Tied = ef::LlamaDecoder<float>;
  EXPECT_THROW(ef::load_llama2c<Tied>(ef::Llama2cFile(directory / "m.bin")), ef::FileError);
}

}  // namespace
