// SPDX-License-Identifier: MIT

#include <eigenformer/io/peft_config_reader.hpp>

#include "support/damage.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace {

using namespace eigenformer;

using Fields = std::map<std::string, std::string>;

/// A configuration with some fields replaced, added, or left out (by an empty text).
std::string text_of(Fields fields, const Fields& changed) {
  for (const auto& [name, value] : changed) fields[name] = value;
  std::string text = "{";
  for (const auto& [name, value] : fields) {
    if (value.empty()) continue;
    text.append(text.size() > 1 ? ",\n  \"" : "\n  \"").append(name).append("\": ").append(value);
  }
  return text + "\n}";
}
/// As PEFT 0.20 writes it.
const Fields lora = {{"alora_invocation_tokens", "null"},
                     {"alpha_pattern", "{}"},
                     {"arrow_config", "null"},
                     {"auto_mapping", "null"},
                     {"base_model_name_or_path", "\"meta-llama/Llama-2-7b-hf\""},
                     {"bias", "\"none\""},
                     {"corda_config", "null"},
                     {"ensure_weight_tying", "false"},
                     {"eva_config", "null"},
                     {"exclude_modules", "null"},
                     {"fan_in_fan_out", "false"},
                     {"inference_mode", "true"},
                     {"init_lora_weights", "true"},
                     {"kasa_config", "null"},
                     {"layer_replication", "null"},
                     {"layers_pattern", "null"},
                     {"layers_to_transform", "null"},
                     {"loftq_config", "{}"},
                     {"lora_alpha", "16"},
                     {"lora_bias", "false"},
                     {"lora_dropout", "0.05"},
                     {"lora_ga_config", "null"},
                     {"megatron_config", "null"},
                     {"megatron_core", "\"megatron.core\""},
                     {"modules_to_save", "null"},
                     {"monteclora_config", "null"},
                     {"peft_type", "\"LORA\""},
                     {"peft_version", "\"0.20.0\""},
                     {"qalora_group_size", "16"},
                     {"r", "4"},
                     {"rank_pattern", "{}"},
                     {"revision", "null"},
                     {"target_modules", "[\"v_proj\", \"q_proj\"]"},
                     {"target_parameters", "null"},
                     {"task_type", "\"CAUSAL_LM\""},
                     {"trainable_token_indices", "null"},
                     {"use_bdlora", "null"},
                     {"use_dora", "false"},
                     {"use_qalora", "false"},
                     {"use_rslora", "false"},
                     {"velora_config", "null"}};
const Fields prefix = {{"auto_mapping", "null"},
                       {"base_model_name_or_path", "\"m\""},
                       {"encoder_hidden_size", "64"},
                       {"inference_mode", "true"},
                       {"num_attention_heads", "4"},
                       {"num_layers", "3"},
                       {"num_transformer_submodules", "1"},
                       {"num_virtual_tokens", "7"},
                       {"peft_type", "\"PREFIX_TUNING\""},
                       {"prefix_projection", "true"},
                       {"revision", "null"},
                       {"task_type", "\"CAUSAL_LM\""},
                       {"token_dim", "64"},
                       {"init_weights", "null"},
                       {"modules_to_save", "null"}};
const Fields prompt = {{"num_attention_heads", "4"},
                       {"num_layers", "3"},
                       {"num_transformer_submodules", "1"},
                       {"num_virtual_tokens", "7"},
                       {"peft_type", "\"PROMPT_TUNING\""},
                       {"prompt_tuning_init", "\"TEXT\""},
                       {"prompt_tuning_init_text", "\"Classify:\""},
                       {"token_dim", "64"},
                       {"tokenizer_kwargs", "null"},
                       {"tokenizer_name_or_path", "\"m\""}};

template <class Config>
Config config_of(const Fields& fields, const Fields& changed = {}) {
  return std::get<Config>(value_or_throw(try_parse_peft_config(text_of(fields, changed)), "adapter_config.json"));
}
/// The list of problems without its first line break, or "accepted".
std::string problems(const Fields& fields, const Fields& changed) {
  std::string list;
  const Result<PeftConfig> result = try_parse_peft_config(text_of(fields, changed), list);
  if (result) return "accepted";
  return list.starts_with("\n  ") ? list.substr(3) : std::string(result.fault().reason.view());
}

TEST(PeftConfigReader, takes_what_peft_writes) {
  const auto config = config_of<PeftLoraConfig>(lora, {{"use_rslora", "true"},
                                                       {"use_dora", "true"},
                                                       {"exclude_modules", "[\"layers.0.q_proj\"]"},
                                                       {"rank_pattern", "{\"v_proj\": 2}"},
                                                       {"alpha_pattern", "{\"v_proj\": 3.5}"}});
  EXPECT_EQ(config.rank, 4);
  EXPECT_EQ(config.alpha, 16);
  EXPECT_EQ(config.dropout, 0.05);
  EXPECT_TRUE(config.rank_stabilized);
  EXPECT_TRUE(config.learned_magnitude);
  EXPECT_EQ(config.targets, (PeftModules{"q_proj", "v_proj"}));
  EXPECT_EQ(config.excluded, (PeftModules{"layers.0.q_proj"}));
  EXPECT_EQ(config.ranks, (PeftExceptions<Index>{{"v_proj", 2}}));
  EXPECT_EQ(config.alphas, (PeftExceptions<double>{{"v_proj", 3.5}}));

  const auto prefixes = config_of<PeftPrefixConfig>(prefix);
  EXPECT_EQ(prefixes.virtual_tokens, 7);
  EXPECT_EQ(prefixes.layers, 3);
  EXPECT_EQ(prefixes.kv_heads, 4);
  EXPECT_EQ(prefixes.features, 64);

  const auto prompts = config_of<PeftPromptConfig>(prompt);
  EXPECT_EQ(prompts.virtual_tokens, 7);
  EXPECT_EQ(prompts.features, 64);
}

TEST(PeftConfigReader, takes_what_older_versions_write) {
  const Fields oldest = {{"peft_type", "\"LORA\""},     {"r", "8"},
                         {"target_modules", "[\"q\"]"}, {"lora_alpha", "32"},
                         {"bias", "\"none\""},          {"lora_dropout", "0.1"},
                         {"merge_weights", "false"},    {"fan_in_fan_out", "false"},
                         {"enable_lora", "null"},       {"modules_to_save", "null"},
                         {"inference_mode", "true"}};
  EXPECT_EQ(config_of<PeftLoraConfig>(oldest).alpha, 32);
  const auto bare = config_of<PeftLoraConfig>({{"peft_type", "\"LORA\""}, {"target_modules", "\"all-linear\""}});
  EXPECT_EQ(bare.rank, 8);
  EXPECT_EQ(bare.alpha, 8);
  EXPECT_EQ(bare.dropout, 0);
  EXPECT_FALSE(bare.rank_stabilized);
  EXPECT_FALSE(bare.learned_magnitude);
  EXPECT_TRUE(bare.targets.empty());
  const auto open = config_of<PeftPrefixConfig>({{"peft_type", "\"PREFIX_TUNING\""}, {"num_virtual_tokens", "3"}});
  EXPECT_EQ(open.layers + open.kv_heads + open.features, 0);
}

/// One field of a configuration, and what is said of it.
struct Case {
  const Fields& fields;
  std::string name, value, said;
};
const std::string taken = "accepted";

// Just inside, just outside, far outside: every field of every kind.
TEST(PeftConfigReader, says_of_every_field_whether_it_can_be_honoured) {
  const std::string rank = "expected an integer in 1 .. 65536";
  const std::string alpha = "expected a number above 0 and up to 1e6";
  const std::string dropout = "expected a number of at least 0 and below 1";
  const std::string truth = "expected true or false";
  const std::string targets = "expected \"all-linear\" or a list of up to 10000 names, no regular expression";
  const std::string excluded = "expected a list of up to 10000 names of 1 to 4096 bytes";
  const std::string nothing = "expected nothing, null or false, as it is not implemented";
  const std::string start =
      "expected true, false, \"gaussian\", \"eva\" or \"orthogonal\", which leave the base as it is";
  const std::string tokens = "expected an integer in 1 .. 1048576";
  const std::string one = "expected 1, as an encoder and a decoder together are not implemented";
  const std::string long_name = "[\"" + std::string(4096, 'a') + "\"]";
  const std::string too_long_name = "[\"" + std::string(4097, 'a') + "\"]";
  std::vector<Case> cases = {
      {lora, "r", "1", taken},
      {lora, "r", "65536", taken},
      {lora, "lora_alpha", "1e-300", taken},
      {lora, "lora_alpha", "1000000", taken},
      {lora, "lora_alpha", "0.5", taken},
      {lora, "lora_dropout", "0", taken},
      {lora, "lora_dropout", "0.999", taken},
      {lora, "fan_in_fan_out", "true", taken},
      {lora, "exclude_modules", "[]", taken},
      {lora, "exclude_modules", "[\"a\", \"a\"]", taken},
      {lora, "target_modules", long_name, taken},
      {lora, "target_modules", "[\"to_out.0\", \"q*\"]", taken},  // names here are literal to PEFT too
      {lora, "rank_pattern", "null", taken},
      {lora, "rank_pattern", "{\"^model\\\\.layers.0.q_proj\": 65536}", taken},
      {lora, "alpha_pattern", "{\"q-proj_1\": 1e6}", taken},
      {lora, "init_lora_weights", "false", taken},
      {lora, "init_lora_weights", "\"gaussian\"", taken},
      {lora, "init_lora_weights", "\"eva\"", taken},
      {lora, "eva_config", "{\"rho\": 2.0}", taken},
      {lora, "modules_to_save", "[ ]", taken},
      {lora, "loftq_config", "null", taken},
      {lora, "layers_pattern", "\"\"", taken},
      {lora, "runtime_config", "{\"ephemeral_gpu_offload\": true}", taken},
      {lora, "auto_mapping", "{\"base_model_class\": \"X\"}", taken},
      {lora, "a field of 2030", "null", taken},
      {lora, "a field of 2031", "{ }", taken},
      {prefix, "num_virtual_tokens", "1048576", taken},
      {prefix, "num_layers", "null", taken},
      {prefix, "num_layers", "1024", taken},
      {prefix, "token_dim", "1048576", taken},
      {prefix, "num_transformer_submodules", "null", taken},
      {prefix, "encoder_hidden_size", "null", taken},
      {prefix, "init_weights", "\"zero\"", taken},
      {prompt, "num_virtual_tokens", "1", taken},
      {prompt, "prompt_tuning_init", "\"RANDOM\"", taken}};
  const auto refuse = [&](const Fields& fields, const char* name, const std::string& expected,
                          const std::vector<std::string>& values) {
    for (const std::string& value : values) {
      std::string shown;
      for (const char character : value) shown += character == '\\' ? "\\x5c" : std::string(1, character);
      if (shown.size() > 60) shown.replace(57, shown.npos, "...");
      std::string said = name;
      said.append(": ").append(expected).append(", got ").append(shown);
      cases.push_back({fields, name, value, said});
    }
  };
  refuse(lora, "r", rank,
         {"0", "-1", "65537", "2147483648", "99999999999999999999", "1.5", "8.0", "8e0", "\"8\"", "null", "[8]"});
  refuse(lora, "lora_alpha", alpha, {"0", "-1", "0.0", "1000000.1", "1e308", "1e999", "\"16\"", "null", "{}", "true"});
  refuse(lora, "lora_dropout", dropout, {"1", "-0.1", "1.5", "null", "\"0.1\""});
  refuse(lora, "use_rslora", truth, {"1", "null", "\"true\""});
  refuse(lora, "use_dora", truth, {"0", "[]"});
  refuse(lora, "fan_in_fan_out", truth, {"null", "2"});
  refuse(lora, "target_modules", targets,
         {"[]", "null", "\"\"", "\".*q_proj\"", "\"q_proj\"", "[\"q\", 1]", "[\"\"]", "{\"q\": 1}", too_long_name});
  refuse(lora, "exclude_modules", excluded, {"\"q.*\"", "[[\"q\"]]", "[\"\"]", "3", too_long_name});
  refuse(lora, "rank_pattern", "expected an object of names and numbers", {"[]", "3", "\"q\""});
  refuse(lora, "bias", "expected \"none\"", {"\"all\"", "\"lora_only\"", "\"None\"", "null", "false", "\"\""});
  refuse(lora, "init_lora_weights", start,
         {"\"pissa\"", "\"pissa_niter_16\"", "\"olora\"", "\"corda\"", "\"loftq\"", "\"lora_ga\"", "\"mica\"", "null",
          "1"});
  refuse(lora, "modules_to_save", nothing, {"[\"lm_head\"]", "\"lm_head\""});
  refuse(lora, "layers_to_transform", nothing, {"0", "[0, 1]"});
  refuse(lora, "layers_pattern", nothing, {"\"layers\"", "[\"h\"]"});
  refuse(lora, "loftq_config", nothing, {"{\"loftq_bits\": 4}"});
  refuse(lora, "layer_replication", nothing, {"[[0, 4], [2, 5]]"});
  refuse(lora, "megatron_config", nothing, {"{\"a\": 1}"});
  refuse(lora, "trainable_token_indices", nothing, {"[1]", "{\"embed_tokens\": [1]}"});
  refuse(lora, "corda_config", nothing, {"{\"a\": null}"});
  refuse(lora, "use_qalora", nothing, {"true"});
  refuse(lora, "alora_invocation_tokens", nothing, {"[1, 2]"});
  refuse(lora, "lora_bias", nothing, {"true"});
  refuse(lora, "target_parameters", nothing, {"[\"experts.w\"]"});
  refuse(lora, "use_bdlora", nothing, {"{\"nblocks\": 2}"});
  refuse(lora, "kasa_config", nothing, {"{\"beta\": 1}"});
  refuse(lora, "merge_weights", nothing, {"true"});
  refuse(lora, "a field of 2030", nothing, {"true", "0", "1", "\"x\"", "\" \"", "[null]", "{\"a\": false}"});
  refuse(lora, "num_virtual_tokens", nothing, {"4"});
  refuse(prefix, "num_virtual_tokens", tokens, {"0", "1048577", "null", "-4", "4.0"});
  refuse(prefix, "num_layers", "expected null or an integer in 1 .. 1024", {"0", "1025", "\"3\""});
  refuse(prefix, "num_attention_heads", "expected null or an integer in 1 .. 65536", {"0", "65537"});
  refuse(prefix, "token_dim", "expected null or an integer in 1 .. 1048576", {"0", "1048577", "18446744073709551616"});
  refuse(prefix, "num_transformer_submodules", one, {"2", "0", "[]"});
  refuse(prefix, "modules_to_save", nothing, {"[\"score\"]"});
  refuse(prefix, "r", nothing, {"8"});
  refuse(prompt, "num_virtual_tokens", tokens, {"0", "true"});
  refuse(prompt, "num_transformer_submodules", one, {"2"});
  refuse(prompt, "num_tasks", nothing, {"3"});
  refuse(lora, "peft_type", "expected \"LORA\", \"PREFIX_TUNING\" or \"PROMPT_TUNING\"",
         {"\"IA3\"", "\"lora\"", "\"ADALORA\"", "\"P_TUNING\"", "null", "1", "\"LORA \""});

  const std::string literal = "expected a name of 1 to 4096 bytes that is no regular expression";
  for (const char* pattern : {".*", "q.*", "(q|v)_proj", "layers.[0-3].q", "q_proj$", "q?", "q+", "q{2}", "layers\\\\d",
                              "a^b", "^", "", "\\\\.*q", "\\\\"}) {
    std::string value = "{\"";
    std::string said = "rank_pattern \"";
    for (const char* at = pattern; *at != '\0'; ++at) {
      if (*at == '\\') ++at;
      said += *at == '\\' ? "\\x5c" : std::string(1, *at);
    }
    value.append(pattern).append("\": 3}");
    cases.push_back({lora, "rank_pattern", value, said.append("\": ").append(literal)});
  }
  const auto two = [&](const char* values, const std::string& said) {
    cases.push_back({lora, "alpha_pattern", values, said});
  };
  const std::string same = " says, which names the same module";
  two(R"({"q": 1, "layers.0.q": 1})", taken);
  two(R"({"q": 1, "aq": 2})", taken);
  two(R"({"^q": 1, "^a.q": 2})", taken);
  two(R"({"q": 1, "layers.0.q": 2})", "alpha_pattern \"layers.0.q\": expected what \"q\"" + same);
  two(R"({"layers.0.q": 2, "q": 1})", "alpha_pattern \"layers.0.q\": expected what \"q\"" + same);
  two(R"({"q": 1, "^q": 2})", "alpha_pattern \"^q\": expected what \"q\"" + same);
  two(R"({"0.q": 1, "^layers.0.q": 2})", "alpha_pattern \"^layers.0.q\": expected what \"0.q\"" + same);
  two(R"({"q": 1, "q": 1})", "alpha_pattern \"q\": expected once");
  two(R"({"a.q": 1, "a\\.q": 1})", "alpha_pattern \"a\\x5c.q\": expected once");
  two(R"({"q": 0})", "alpha_pattern \"q\": " + alpha + ", got 0");
  two(R"({"q": "16"})", "alpha_pattern \"q\": " + alpha + ", got \"16\"");

  for (const Case& one_case : cases) {
    EXPECT_EQ(problems(one_case.fields, {{one_case.name, one_case.value}}), one_case.said)
        << one_case.name << ": " << one_case.value.substr(0, 100);
  }
  EXPECT_GT(cases.size(), 160U);
}

TEST(PeftConfigReader, what_must_be_there_is_asked_for) {
  EXPECT_EQ(problems(lora, {{"peft_type", ""}}), "peft_type: missing");
  EXPECT_EQ(problems(lora, {{"target_modules", ""}}), "target_modules: missing");
  EXPECT_EQ(problems(prefix, {{"num_virtual_tokens", ""}}), "num_virtual_tokens: missing");
  EXPECT_EQ(problems(prompt, {{"num_virtual_tokens", ""}}), "num_virtual_tokens: missing");
  EXPECT_EQ(problems(lora, {{"r\\u0020", "3"}}),
            "r : expected nothing, null or false, as it is not implemented, got 3");
  EXPECT_EQ(problems(lora, {{"\\u0072", "3"}}), "r: expected once");
  EXPECT_EQ(problems(lora, {{std::string(5000, 'x'), "3"}}),
            "a name that is empty or longer than 4096 bytes: expected nothing, null or false, as it is not "
            "implemented, got 3");
}

TEST(PeftConfigReader, a_fault_has_room_for_the_first_lines) {
  const Result<PeftConfig> result = try_parse_peft_config(text_of(lora, {{"r", "0"}, {"bias", "\"all\""}}));
  ASSERT_FALSE(result);
  EXPECT_EQ(
      result.fault().reason.view(),
      "these fields are not as expected:\n  bias: expected \"none\", got \"all\"\n  r: expected an integer in 1 .. "
      "65536, got 0");
}

TEST(PeftConfigReader, survives_every_prefix_bit_and_token) {
  const Fields small = {{"peft_type", "\"LORA\""},
                        {"r", "4"},
                        {"target_modules", "[\"q\",\"v\"]"},
                        {"rank_pattern", "{\"v\":2,\"^a.b\":3}"},
                        {"loftq_config", "{}"},
                        {"lora_dropout", "0.5"}};
  const std::string whole = text_of(small, {});
  ASSERT_EQ(problems(small, {}), "accepted");
  std::string list;
  int accepted = 0;
  const auto judge = [&](const std::string& text) { accepted += static_cast<bool>(try_parse_peft_config(text, list)); };
  int cases = support::for_each_prefix(whole, judge);
  EXPECT_EQ(accepted, 0);
  cases += support::for_each_flipped_bit(whole, whole.size(), judge);
  cases += support::for_each_token_edit(whole, support::telling_tokens(), judge);
  EXPECT_GT(cases, 3000);
}

TEST(PeftConfigReader, reads_files_of_at_most_a_megabyte) {
  const support::TemporaryDirectory directory;
  std::string text = text_of(lora, {});
  const auto write = [&] {
    const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());
    support::write_file(directory / "adapter_config.json", support::Bytes(bytes, bytes + text.size()));
    return directory / "adapter_config.json";
  };
  const auto message = [](const std::filesystem::path& path) {
    try {
      read_peft_config(path);
    } catch (const FileError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  text.resize(1'000'000, ' ');
  EXPECT_EQ(message(write()), "accepted");
  text += ' ';
  const std::string begin = "adapter config: " + (directory / "adapter_config.json").string() + ": ";
  EXPECT_EQ(message(write()), begin + "expected at most 1000000 bytes, got 1000001");
  text = "{}";
  EXPECT_EQ(message(write()), begin + "these fields are not as expected:\n  peft_type: missing");
  EXPECT_NE(message(directory / "absent").find("No such file"), std::string::npos);
  EXPECT_NE(message(directory.path()).find("expected a regular file"), std::string::npos);
}

}  // namespace
