// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama2c_file.hpp>

#include "support/allocation.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <string>

namespace {

using namespace eigenformer;
using Numbers = std::vector<std::int32_t>;

const Numbers small = {12, 7, 2, 6, 3, 5, 11};  // dim, hidden, layers, heads, kv_heads, vocabulary, length

/// 5 x 12; for each layer 12, 12 x 12, 6 x 12, 6 x 12, 12 x 12, 12, 7 x 12, 12 x 7, 7 x 12; 12; two times 11 x 1.
constexpr std::size_t small_floats = 60 + 2 * (12 + 144 + 72 + 72 + 144 + 12 + 84 + 84 + 84) + 12 + 22;

/// A file with these numbers in front, then floats 0, 1, 2, ...
support::Bytes file_bytes(const Numbers& numbers, std::size_t floats) {
  support::Bytes bytes(4 * (numbers.size() + floats));
  std::memcpy(bytes.data(), numbers.data(), 4 * numbers.size());
  for (std::size_t i = 0; i < floats; ++i) {
    const auto value = static_cast<float>(i);
    std::memcpy(bytes.data() + 4 * (numbers.size() + i), &value, 4);
  }
  return bytes;
}

class Llama2cFile : public testing::Test {
 protected:
  eigenformer::Llama2cFile open(const support::Bytes& bytes) {
    support::write_file(path, bytes);
    return eigenformer::Llama2cFile(path);
  }
  std::string reason(const support::Bytes& bytes) {
    support::write_file(path, bytes);
    const auto file = eigenformer::Llama2cFile::try_open(path);
    return file ? "accepted" : std::string(file.fault().reason.view());
  }
  std::string reason(std::size_t which, std::int32_t number) {
    Numbers numbers = small;
    numbers[which] = number;
    return reason(file_bytes(numbers, small_floats));
  }
  support::TemporaryDirectory directory;
  std::filesystem::path path = directory / "model.bin";
};

TEST_F(Llama2cFile, describes_its_model) {
  const LlamaConfig config = open(file_bytes(small, small_floats)).config();
  EXPECT_EQ(config.decoder.dim, 12);
  EXPECT_EQ(config.decoder.hidden, 7);
  EXPECT_EQ(config.decoder.layers, 2);
  EXPECT_EQ(config.decoder.heads, 6);
  EXPECT_EQ(config.decoder.kv_heads, 3);
  EXPECT_EQ(config.decoder.head_dim, 2);
  EXPECT_EQ(config.decoder.vocabulary, 5);
  EXPECT_EQ(config.decoder.epsilon, 1e-5);
  EXPECT_EQ(config.max_length, 11);
  EXPECT_EQ(config.output, OutputWeights::tied);
}

TEST_F(Llama2cFile, gives_each_parameter_its_floats) {
  Numbers numbers = small;
  numbers[5] = -5;  // an output of its own
  const auto file = open(file_bytes(numbers, small_floats + 60));
  EXPECT_EQ(file.config().output, OutputWeights::separate);
  EXPECT_EQ(file.config().decoder.vocabulary, 5);
  const auto first = [&](const std::string& name, const Shape& shape) {
    std::vector<double> values(static_cast<std::size_t>(shape.size()));
    value_or_throw(file.try_read(name, shape, std::span<double>(values)), name);
    for (std::size_t i = 1; i < values.size(); ++i) EXPECT_EQ(values[i], values[i - 1] + 1) << name;
    return values.at(0);
  };
  EXPECT_EQ(first("embedding.weight", {5, 12}), 0);
  EXPECT_EQ(first("layers.0.attention_norm.weight", {12}), 60);
  EXPECT_EQ(first("layers.1.attention_norm.weight", {12}), 72);
  EXPECT_EQ(first("layers.0.attention.query.weight", {12, 12}), 84);
  EXPECT_EQ(first("layers.1.attention.key.weight", {6, 12}), 84 + 2 * 144 + 72);
  EXPECT_EQ(first("layers.0.attention.value.weight", {6, 12}), 84 + 2 * 144 + 2 * 72);
  EXPECT_EQ(first("layers.0.attention.output.weight", {12, 12}), 84 + 2 * 144 + 4 * 72);
  EXPECT_EQ(first("layers.1.feed_forward_norm.weight", {12}), 84 + 4 * 144 + 4 * 72 + 12);
  EXPECT_EQ(first("layers.0.feed_forward.gate.weight", {7, 12}), 84 + 4 * 144 + 4 * 72 + 24);
  EXPECT_EQ(first("layers.0.feed_forward.down.weight", {12, 7}), 84 + 4 * 144 + 4 * 72 + 24 + 2 * 84);
  EXPECT_EQ(first("layers.1.feed_forward.up.weight", {7, 12}), 84 + 4 * 144 + 4 * 72 + 24 + 5 * 84);
  EXPECT_EQ(first("norm.weight", {12}), small_floats - 22 - 12);
  EXPECT_EQ(first("output.weight", {5, 12}), small_floats);
}

TEST_F(Llama2cFile, has_no_other_parameters_and_no_other_shapes) {
  const auto file = open(file_bytes(small, small_floats));
  for (const char* name : {"output.weight", "layers.2.attention_norm.weight", "layers.-1.attention_norm.weight",
                           "layers.attention_norm.weight", "layers.0.attention_norm.weigh", "layers.00x.norm.weight",
                           "layers.", "", "layers.0.1.attention_norm.weight"}) {
    EXPECT_FALSE(file.find(name)) << name;
  }
  std::vector<float> values(12);
  EXPECT_FALSE(file.try_read("norm.weight", {3, 4}, std::span<float>(values)));
}

TEST_F(Llama2cFile, refuses_numbers_out_of_range_before_anything_else) {
  EXPECT_EQ(reason(0, 0), "dim: expected 1 .. 1048576, got 0");
  EXPECT_EQ(reason(0, -12), "dim: expected 1 .. 1048576, got -12");
  EXPECT_EQ(reason(1, 4194305), "hidden: expected 1 .. 4194304, got 4194305");
  EXPECT_EQ(reason(2, 1025), "layers: expected 1 .. 1024, got 1025");
  EXPECT_EQ(reason(3, 65537), "heads: expected 1 .. 65536, got 65537");
  EXPECT_EQ(reason(4, 0), "kv_heads: expected 1 .. 65536, got 0");
  EXPECT_EQ(reason(5, 0), "vocabulary: expected 1 .. 16777216, got 0");
  EXPECT_EQ(reason(5, (std::numeric_limits<std::int32_t>::min)()),
            "vocabulary: expected 1 .. 16777216, got 2147483648");
  EXPECT_EQ(reason(6, -1), "length: expected 1 .. 2147483648, got -1");
  EXPECT_EQ(reason(4, 4),
            "expected heads that divide dim evenly into an even number and are a multiple of kv_heads, got dim 12, "
            "heads 6, kv_heads 4");
  EXPECT_NE(reason(3, 5), "accepted");
  EXPECT_NE(reason(3, 12), "accepted");
  EXPECT_EQ(reason(0, 0x616b3432), "expected version 0 of the format, which has no magic number; got a later one");
  // The largest numbers that pass: no sum of sizes overflows.
  EXPECT_EQ(reason(file_bytes({1048576, 4194304, 1024, 65536, 65536, 16777216, 2147483647}, 3)),
            "expected a file of 72128108815187932 bytes, as the numbers at its start imply, got 40");
}

// The claim is checked against the file, so a small file that claims much costs nothing.
TEST_F(Llama2cFile, has_exactly_the_size_that_its_numbers_imply) {
  const support::Bytes whole = file_bytes(small, small_floats);
  EXPECT_EQ(reason(whole), "accepted");
  for (std::size_t i = 0; i < 7; ++i) EXPECT_NE(reason(i, small[i] + 12), "accepted") << i;
  EXPECT_NE(reason(5, -5), "accepted");
  support::Bytes longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_NE(reason(longer), "accepted");
  EXPECT_EQ(reason({}), "expected at least 28 bytes");
  int cases = 0;
  for (std::size_t cut = 0; cut < whole.size(); cut += cut < 40 ? 1 : 97, ++cases) {
    EXPECT_NE(reason({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut)}), "accepted") << cut;
  }
  EXPECT_GT(cases, 80);
}

TEST_F(Llama2cFile, opening_takes_no_memory_worth_mentioning) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  support::write_file(path, file_bytes({1048576, 4194304, 1024, 65536, 65536, 16777216, 2147483647}, 3));
  EXPECT_EQ(support::allocations_during([&] { EXPECT_FALSE(eigenformer::Llama2cFile::try_open(path)); }), 0U);
}

TEST_F(Llama2cFile, reports_values_that_are_not_finite_where_asked_and_a_file_that_shrank) {
  support::Bytes bytes = file_bytes(small, small_floats);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + 28 + 4 * 59, &nan, 4);
  const auto file = open(bytes);
  std::vector<float> values(60);
  EXPECT_TRUE(file.try_read("embedding.weight", {5, 12}, std::span(values)));
  const auto refused = file.try_read("embedding.weight", {5, 12}, std::span(values), {.finite = Finite::required});
  ASSERT_FALSE(refused);
  EXPECT_EQ(describe(refused.fault(), "m"), "llama2.c: m: tensor \"embedding.weight\": expected finite values only");
  std::filesystem::resize_file(path, 100);
  EXPECT_FALSE(file.try_read("embedding.weight", {5, 12}, std::span(values)));
}

}  // namespace
