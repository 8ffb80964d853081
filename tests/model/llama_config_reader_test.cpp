// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama_config_reader.hpp>

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace {

using namespace eigenformer;

/// A whole config.json with some fields replaced, added, or left out (by an empty text).
std::string config_text(const std::map<std::string, std::string>& changed = {}) {
  std::map<std::string, std::string> fields = {{"model_type", "\"llama\""},      {"hidden_size", "64"},
                                               {"intermediate_size", "172"},     {"num_hidden_layers", "5"},
                                               {"num_attention_heads", "8"},     {"vocab_size", "512"},
                                               {"num_key_value_heads", "4"},     {"max_position_embeddings", "256"},
                                               {"rms_norm_eps", "1e-05"},        {"rope_theta", "500000.0"},
                                               {"architectures", "[\"A\", {}]"}, {"tie_word_embeddings", "true"}};
  for (const auto& [name, value] : changed) fields[name] = value;
  std::string text = "{";
  for (const auto& [name, value] : fields) {
    if (!value.empty()) text += (text.size() > 1 ? ",\n \"" : "\n \"") + name + "\": " + value;
  }
  return text + "\n}\n";
}
LlamaConfig config_of(const std::map<std::string, std::string>& changed = {}) {
  return value_or_throw(try_parse_llama_config(config_text(changed)), "config.json");
}
std::string reason(const std::string& text) {
  const Result<LlamaConfig> result = try_parse_llama_config(text);
  return result ? "accepted" : std::string(result.fault().reason.view());
}

TEST(LlamaConfigReader, takes_every_field) {
  const LlamaConfig config = config_of({{"head_dim", "10"},
                                        {"bos_token_id", "3"},
                                        {"eos_token_id", "[ 5,7 , 511]"},
                                        {"attention_bias", "true"},
                                        {"mlp_bias", "true"}});
  EXPECT_EQ(config.decoder.dim, 64);
  EXPECT_EQ(config.decoder.hidden, 172);
  EXPECT_EQ(config.decoder.layers, 5);
  EXPECT_EQ(config.decoder.heads, 8);
  EXPECT_EQ(config.decoder.kv_heads, 4);
  EXPECT_EQ(config.decoder.head_dim, 10);
  EXPECT_EQ(config.decoder.vocabulary, 512);
  EXPECT_EQ(config.max_length, 256);
  EXPECT_EQ(config.decoder.epsilon, 1e-5);
  EXPECT_EQ(config.decoder.rope_base, 500000);
  EXPECT_EQ(config.output, OutputWeights::tied);
  EXPECT_TRUE(config.decoder.attention_bias);
  EXPECT_TRUE(config.decoder.feed_forward_bias);
  EXPECT_EQ(config.begin_token, 3);
  ASSERT_EQ(config.ends().size(), 3U);
  EXPECT_EQ(config.ends()[2], 511);
}

TEST(LlamaConfigReader, fills_in_what_transformers_does) {
  std::map<std::string, std::string> bare;
  for (const char* field : {"num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "rope_theta",
                            "architectures", "tie_word_embeddings"}) {
    bare[field] = "";
  }
  const LlamaConfig config = config_of(bare);
  EXPECT_EQ(config.decoder.kv_heads, 8);
  EXPECT_EQ(config.decoder.head_dim, 8);
  EXPECT_EQ(config.max_length, 2048);
  EXPECT_EQ(config.decoder.epsilon, 1e-6);
  EXPECT_EQ(config.decoder.rope_base, 10000);
  EXPECT_EQ(config.output, OutputWeights::separate);
  EXPECT_FALSE(config.decoder.attention_bias);
  EXPECT_EQ(config.begin_token, 1);
  ASSERT_EQ(config.ends().size(), 1U);
  EXPECT_EQ(config.ends()[0], 2);
  for (auto& [field, value] : bare) value = "null";
  EXPECT_EQ(config_of(bare).decoder.kv_heads, 8);
}

TEST(LlamaConfigReader, takes_the_usual_values_of_what_it_does_not_implement) {
  for (const auto& [field, value] : std::map<std::string, std::string>{
           {"rope_scaling", "null"},
           {"rope_scaling ", "{\"type\": \"linear\"}"},  // another field
           {"rope_parameters", "{\"rope_theta\": 500000.0, \"rope_type\": \"default\"}"},
           {"hidden_act", "\"silu\""},
           {"sliding_window", "null"},
           {"quantization_config", "null"},
           {"partial_rotary_factor", "1.0"},
           {"attention_bias", "false"},
           {"pretraining_tp", "1"},
           {"eos_token_id", "null"},
           {"a_key_that_is_much_longer_than_any_field_that_a_configuration_may_have", "{\"deep\": [1, {}]}"}}) {
    EXPECT_EQ(reason(config_text({{field, value}})), "accepted") << field;
  }
  EXPECT_EQ(config_of({{"rope_theta", ""}, {"rope_parameters", "{\"rope_theta\": 7e4, \"rope_type\": \"default\"}"}})
                .decoder.rope_base,
            7e4);
  const std::string nested = "{\"rope_theta\": 3.5, \"rope_type\": \"default\"}";
  EXPECT_EQ(config_of({{"rope_parameters", nested}}).decoder.rope_base, 3.5) << "before rope_theta";
  EXPECT_EQ(config_of({{"zz", ""}, {"rope_theta", "2"}, {"rope_scaling", nested}}).decoder.rope_base, 3.5);
  EXPECT_EQ(config_of({{"eos_token_id", "null"}}).end_token_count, 0);
  EXPECT_EQ(config_of({{"bos_token_id", "null"}}).begin_token, LlamaConfig::no_token);
}

TEST(LlamaConfigReader, names_the_field_with_what_was_expected_and_what_came) {
  int cases = 0;
  const auto refuse = [&](const char* field, const char* value, const std::string& expected) {
    EXPECT_EQ(reason(config_text({{field, value}})), std::string(field) + ": expected " + expected + ", got " + value);
    ++cases;
  };
  for (const char* value : {"0", "-1", "1048577", "64.0", "1e2", "true", "[]", "{}", "99999999999999999999999"}) {
    refuse("hidden_size", value, "an integer in 1 .. 1048576");
  }
  refuse("intermediate_size", "4194305", "an integer in 1 .. 4194304");
  refuse("num_hidden_layers", "1025", "an integer in 1 .. 1024");
  refuse("num_hidden_layers", "0", "an integer in 1 .. 1024");
  refuse("num_attention_heads", "65537", "an integer in 1 .. 65536");
  refuse("vocab_size", "16777217", "an integer in 1 .. 16777216");
  refuse("max_position_embeddings", "2147483649", "an integer in 1 .. 2147483648");
  refuse("head_dim", "0", "an integer in 1 .. 1048576");
  refuse("vocab_size", "null", "a value");
  for (const char* value : {"0", "-1e-5", "2", "true", "1e999"})
    refuse("rms_norm_eps", value, "a number in 1e-30 .. 1");
  for (const char* value : {"0.5", "-10000", "1e16", "[1]"}) refuse("rope_theta", value, "a number in 1 .. 1e15");
  refuse("attention_bias", "1", "true or false");
  refuse("tie_word_embeddings", "[]", "true or false");
  refuse("partial_rotary_factor", "0.5", "1");
  refuse("sliding_window", "4096", "null");
  for (const char* value : {"-1", "1.5", "[1]", "16777216"}) refuse("bos_token_id", value, "a token");
  for (const char* value : {"-1", "[1, true]", "[[1]]", "{}", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"}) {
    refuse("eos_token_id", value, "a token or a list of at most 16");
  }
  EXPECT_EQ(cases, 39);
}

TEST(LlamaConfigReader, refuses_models_that_are_not_its_own) {
  const auto of = [](const char* field, const char* value) { return reason(config_text({{field, value}})); };
  EXPECT_EQ(of("model_type", "\"mistral\""), "model_type: expected \"llama\", got \"mistral\"");
  EXPECT_EQ(of("hidden_act", "\"gelu\""), "hidden_act: expected \"silu\", got \"gelu\"");
  EXPECT_EQ(of("rope_scaling", "{\"type\":\"linear\",\"factor\":2}"),
            "rope_scaling: expected null or rope_type \"default\", got "
            "{\"type\":\"linear\",\"factor\":2}");
  EXPECT_EQ(of("rope_scaling", "{\"factor\":2}"),
            "rope_scaling: expected null or rope_type \"default\", got {\"factor\":2}");
  EXPECT_EQ(of("rope_parameters", "7"), "rope_parameters: expected null or rope_type \"default\", got 7");
  EXPECT_NE(of("rope_parameters", "{\"rope_type\": \"llama3\"}"), "accepted");
  EXPECT_NE(of("rope_parameters", "{\"rope_type\": \"default\", \"partial_rotary_factor\": 0.25}"), "accepted");
  EXPECT_NE(of("quantization_config", "{\"bits\": 4}"), "accepted");
}

TEST(LlamaConfigReader, lists_missing_fields_together) {
  EXPECT_EQ(reason("{}"),
            "missing: model_type, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, vocab_size");
  EXPECT_EQ(reason(config_text({{"hidden_size", ""}, {"vocab_size", ""}})), "missing: hidden_size, vocab_size");
}

TEST(LlamaConfigReader, refuses_fields_that_do_not_go_together) {
  EXPECT_EQ(reason(config_text({{"hidden_size", "65"}})),
            "hidden_size: expected a multiple of num_attention_heads, 8, got 65");
  EXPECT_EQ(reason(config_text({{"hidden_size", "65"}, {"head_dim", "8"}})), "accepted");
  EXPECT_EQ(reason(config_text({{"num_key_value_heads", "3"}})),
            "num_key_value_heads: expected a divisor of num_attention_heads, 8, got 3");
  EXPECT_EQ(reason(config_text({{"head_dim", "7"}})), "head_dim: expected a multiple of 2, got 7");
  EXPECT_EQ(reason(config_text({{"bos_token_id", "512"}})),
            "bos_token_id: expected less than vocab_size, 512, got 512");
  EXPECT_EQ(reason(config_text({{"eos_token_id", "[1, 999]"}})),
            "eos_token_id: expected less than vocab_size, 512, got 999");
}

// Every prefix, and every byte replaced: refused or read, never anything else. Sanitizers watch.
TEST(LlamaConfigReader, survives_every_prefix_and_every_damaged_byte) {
  const std::string whole = config_text({{"eos_token_id", "[1, 2]"},
                                         {"rope_scaling", "{\"rope_type\": \"default\", \"factor\": 1.5e1}"},
                                         {"name", "\"\\u00e9\\ud83d\\ude00\""}});
  ASSERT_EQ(reason(whole), "accepted");
  int refused = 0;
  int cases = 0;
  const std::size_t last_brace = whole.rfind('}');
  for (std::size_t cut = 0; cut <= last_brace; ++cut, ++cases) refused += reason(whole.substr(0, cut)) != "accepted";
  EXPECT_EQ(refused, cases);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const char other : {'\0', '"', '\\', '{', '}', '[', ']', ',', ':', '-', '9', 'e', '\x80', '\n'}) {
      std::string damaged = whole;
      damaged[i] = other;
      (void)reason(damaged);
      ++cases;
    }
  }
  EXPECT_GT(cases, 6000);
}

TEST(LlamaConfigReader, reads_files_of_at_most_a_megabyte) {
  const support::TemporaryDirectory directory;
  std::string text = config_text();
  const auto write = [&] {
    const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());
    support::write_file(directory / "config.json", support::Bytes(bytes, bytes + text.size()));
  };
  text.resize(1'000'000, ' ');
  write();
  EXPECT_EQ(read_llama_config(directory / "config.json").decoder.dim, 64);
  text += ' ';
  write();
  try {
    read_llama_config(directory / "config.json");
    FAIL();
  } catch (const FileError& error) {
    EXPECT_EQ(std::string(error.what()),
              "config: " + (directory / "config.json").string() + ": expected at most 1000000 bytes, got 1000001");
  }
  EXPECT_THROW(read_llama_config(directory / "absent"), FileError);
  EXPECT_THROW(read_llama_config(directory.path()), FileError);
}

}  // namespace
