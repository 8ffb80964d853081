// SPDX-License-Identifier: MIT
// A published model from both of its formats, against what its authors' code computes.

#include "support/compare.hpp"
#include "support/safetensors_files.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/io/safetensors_folder.hpp>
#include <eigenformer/model/llama2c.hpp>
#include <eigenformer/model/llama_checkpoint.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using Ints = std::vector<std::int32_t>;
template <class Storage>
using Stored = ef::LlamaDecoder<float, ef::TiedOutput<float, Storage>, ef::HalfSplit>;
using Model = Stored<float>;
using PublishedModel = ef::LlamaDecoder<float, ef::TiedOutput<float>, ef::Interleaved>;

std::filesystem::path folder() { return std::filesystem::path(EIGENFORMER_MODELS_DIR) / "stories260K"; }

/// Tests of this suite skip where the published model is not.
class Stories : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder())) GTEST_SKIP() << folder() << " is not there";
  }
  support::TemporaryDirectory directory;
};

ef::LlamaConfig config() { return ef::read_llama_config(folder() / "config.json"); }
Model load(const std::filesystem::path& path) { return ef::load_llama<Model>(ef::SafetensorsFile(path), config()); }

/// What the published code computes for a prompt.
struct Prompt {
  explicit Prompt(int i) : file(folder() / ("prompt" + std::to_string(i) + ".safetensors")) {}
  static constexpr int count = 3;

  ef::SafetensorsFile file;
  Ints tokens = file.values<std::int32_t>("prompt_tokens");
  Ints continuation = file.values<std::int32_t>("greedy_tokens");
  std::vector<float> logits = file.values<float>("logits_f32_runc");            ///< [tokens, 512], by run.c
  std::vector<double> exact = file.values<double>("logits_f64_modelpy_last8");  ///< of the last positions, by model.py

  /// The largest error of run.c's float32 logits, and their scale.
  double plain_error() const { return support::max_error(std::span(logits).last(exact.size()), exact).worst; }
  double scale() const {
    return std::abs(
        *std::max_element(exact.begin(), exact.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }));
  }
};

/// Logits of every position, the prompt taken in chunks of that many tokens.
template <class M>
std::vector<float> logits_in_chunks(const M& model, const Ints& tokens, Index chunk) {
  ef::Context context;
  const Index vocabulary = model.vocabulary();
  const auto length = static_cast<Index>(tokens.size());
  auto key_values = model.key_values(1, length);
  std::vector<float> logits(tokens.size() * static_cast<std::size_t>(vocabulary));
  for (Index begin = 0; begin < length; begin += chunk) {
    const Index count = std::min(chunk, length - begin);
    model.forward(ef::TokensView(tokens.data() + begin, {count}),
                  ef::RowsView<float>(logits.data() + begin * vocabulary, count, vocabulary, vocabulary), key_values,
                  context);
  }
  return logits;
}

/// The likeliest tokens after a prompt, one by one.
template <class M>
Ints greedy(const M& model, const Ints& prompt, std::size_t count, int threads = 1) {
  ef::Context context({.threads = threads});
  auto key_values = model.key_values(1, static_cast<Index>(prompt.size() + count));
  ef::Matrix<float> logits(1, model.vocabulary());
  model.next_logits(prompt, logits, key_values, context);
  Ints tokens;
  while (tokens.size() < count) {
    Index likeliest = 0;
    logits.row(0).maxCoeff(&likeliest);
    tokens.push_back(static_cast<std::int32_t>(likeliest));
    model.next_logits(Ints{tokens.back()}, logits, key_values, context);
  }
  return tokens;
}

/// Ours may be off by twice what plain float32 code is; so may ours and its differ by three times that.
template <class M>
void expect_published_results(const M& model) {
  int compared = 0;
  for (int i = 0; i < Prompt::count; ++i) {
    const Prompt prompt(i);
    const double error = prompt.plain_error();
    ASSERT_GT(error, 1e-6) << "run.c is float32 code";
    ASSERT_LT(error, 2e-5);
    const double limit = tolerance::twice_plain<float>(error, prompt.scale());
    for (const Index chunk : {Index(1), Index(3), Index(7), static_cast<Index>(prompt.tokens.size())}) {
      const std::vector<float> logits = logits_in_chunks(model, prompt.tokens, chunk);
      EXPECT_TRUE(support::within(support::max_error(std::span(logits).last(prompt.exact.size()), prompt.exact), limit))
          << "prompt " << i << ", chunks of " << chunk;
      EXPECT_TRUE(support::within(support::max_error(logits, prompt.logits), limit + error))
          << "prompt " << i << ", chunks of " << chunk;
      ++compared;
    }
    EXPECT_EQ(prompt.continuation.size(), 200U);
    EXPECT_EQ(greedy(model, prompt.tokens, 200), prompt.continuation) << "prompt " << i;
    EXPECT_EQ(greedy(model, prompt.tokens, 200, 2), prompt.continuation) << "prompt " << i << ", two threads";
  }
  EXPECT_EQ(compared, 12);
}

TEST_F(Stories, from_huggingfaces_format_are_the_published_ones) {
  expect_published_results(load(folder() / "model.safetensors"));
}

TEST_F(Stories, from_llama2cs_format_are_the_published_ones) {
  const ef::Llama2cFile file(folder() / "stories260K.bin");
  const ef::LlamaConfig theirs = file.config();
  const ef::LlamaConfig ours = config();
  EXPECT_EQ(theirs.decoder.dim, ours.decoder.dim);
  EXPECT_EQ(theirs.decoder.hidden, ours.decoder.hidden);
  EXPECT_EQ(theirs.decoder.kv_heads, ours.decoder.kv_heads);
  EXPECT_EQ(theirs.max_length, ours.max_length);
  EXPECT_EQ(theirs.output, ours.output);
  expect_published_results(ef::load_llama2c<PublishedModel>(file));
}

TEST_F(Stories, saved_again_are_the_same_bytes_of_data) {
  const ef::SafetensorsFile published(folder() / "model.safetensors");
  ef::save_llama(directory / "again", load(folder() / "model.safetensors"));
  const ef::SafetensorsFile again(directory / "again");
  ASSERT_EQ(again.names(), published.names());
  for (const std::string& name : published.names()) {
    EXPECT_TRUE(support::bit_equal(again.values<float>(name), published.values<float>(name))) << name;
  }
}

// The same tensors in two files and an index, as larger models come.
TEST_F(Stories, from_several_files_are_the_same_bits) {
  const ef::SafetensorsFile published(folder() / "model.safetensors");
  std::map<std::string, std::vector<float>> tensors;
  std::string map;
  for (const char* shard : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    ef::SafetensorsWriter writer;
    for (const std::string& name : published.names()) {
      const bool first = name < "model.layers.2";
      if (first != (shard[10] == '1')) continue;
      tensors[name] = published.values<float>(name);
      writer.add<float>(name, published.find(name)->shape, tensors[name]);
      map += (map.empty() ? "\"" : ",\"") + name + "\":\"" + shard + "\"";
    }
    writer.write(directory / shard);
  }
  const std::string index = "{\"metadata\":{\"total_size\":1040128},\"weight_map\":{" + map + "}}";
  const auto* const bytes = reinterpret_cast<const std::byte*>(index.data());
  support::write_file(directory / "model.safetensors.index.json", support::Bytes(bytes, bytes + index.size()));
  const ef::SafetensorsFolder sharded(directory.path());
  EXPECT_EQ(sharded.shards(), 2U);
  const Ints tokens = Prompt(2).tokens;
  EXPECT_TRUE(support::bit_equal(logits_in_chunks(ef::load_llama<Model>(sharded, config()), tokens, 23),
                                 logits_in_chunks(load(folder() / "model.safetensors"), tokens, 23)));
}

/// The published weights rounded to a narrower type and written as such.
template <class Narrow>
void write_narrow(const std::filesystem::path& path) {
  const ef::SafetensorsFile published(folder() / "model.safetensors");
  std::map<std::string, std::vector<Narrow>> tensors;
  ef::SafetensorsWriter writer;
  for (const std::string& name : published.names()) {
    for (const float value : published.values<float>(name)) tensors[name].push_back(static_cast<Narrow>(value));
    writer.add<Narrow>(name, published.find(name)->shape, tensors[name]);
  }
  writer.write(path);
}

/// Rounding every weight by up to half an epsilon changes what each of the 37 matrices on the way (7 in each of 5
/// layers, embedding, output) makes by about as much of its size, and the logits by their sum if all pull together.
template <class Narrow>
void expect_close_to_wide(const std::filesystem::path& path, double epsilon) {
  write_narrow<Narrow>(path);
  EXPECT_EQ(ef::llama_weights_dtype(ef::SafetensorsFile(path)), ef::dtype_of<Narrow>);
  const Model narrow = load(path);
  Model wide = load(folder() / "model.safetensors");
  for (int i = 0; i < Prompt::count; ++i) {
    const Prompt prompt(i);
    const auto all = static_cast<Index>(prompt.tokens.size());
    const support::ErrorReport error =
        support::max_error(logits_in_chunks(narrow, prompt.tokens, all), logits_in_chunks(wide, prompt.tokens, all));
    EXPECT_TRUE(support::within(error, 37 * epsilon / 2 * prompt.scale()));
    EXPECT_GT(error.worst, epsilon / 64) << "the weights were rounded";
  }
  wide.visit_parameters([](const ef::Name&, auto& parameter) {
    for (float& value : parameter.values()) value = static_cast<float>(static_cast<Narrow>(value));
  });
  // Stored narrow or widened when read, the arithmetic is the same, so every bit is.
  const ef::SafetensorsFile file(path);
  const auto stored = ef::load_llama<Stored<Narrow>>(file, config());
  for (const Index chunk : {Index(1), Index(23)}) {
    const Ints tokens = Prompt(2).tokens;
    const std::vector<float> expected = logits_in_chunks(wide, tokens, chunk);
    EXPECT_TRUE(support::bit_equal(logits_in_chunks(narrow, tokens, chunk), expected));
    EXPECT_TRUE(support::bit_equal(logits_in_chunks(stored, tokens, chunk), expected));
  }
  ef::save_llama(path.string() + ".again", stored);
  EXPECT_TRUE(support::read_file(path.string() + ".again").size() < 600'000) << "half of 1.04 MB, and the header";
  const auto again = ef::load_llama<Stored<Narrow>>(ef::SafetensorsFile(path.string() + ".again"), config());
  EXPECT_TRUE(again.embedding.weight.value == stored.embedding.weight.value);
  // A file of float32 does not fit into narrow storage.
  EXPECT_THROW(ef::load_llama<Stored<Narrow>>(ef::SafetensorsFile(folder() / "model.safetensors"), config()),
               ef::FileError);
}

TEST_F(Stories, in_bfloat16_are_the_rounded_model_and_close_to_the_published_one) {
  expect_close_to_wide<Eigen::bfloat16>(directory / "bf16", 0x1p-7);
}
TEST_F(Stories, in_float16_are_the_rounded_model_and_close_to_the_published_one) {
  expect_close_to_wide<Eigen::half>(directory / "f16", 0x1p-10);
}

}  // namespace
