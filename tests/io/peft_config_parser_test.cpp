// SPDX-License-Identifier: MIT

#include <eigenformer/io/peft_config_parser.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace eigenformer;

struct Judged {
  std::string problems;
  std::string fault;
  PeftConfig config;
};
Judged judge(const std::string& text) {
  Judged judged;
  const Result<PeftConfig> result = detail::PeftConfigParser(text).parse(judged.problems);
  if (result) {
    judged.config = *result;
  } else {
    judged.fault = describe(result.fault(), "c.json");
  }
  return judged;
}

TEST(PeftConfigParser, refuses_what_is_not_json_and_says_where) {
  EXPECT_EQ(judge("").fault, "adapter config: c.json: expected an object");
  EXPECT_EQ(judge("{\"peft_type\": \"LORA\", \"lora_alpha\": NaN}").fault,
            "adapter config: c.json: at byte 36: expected JSON");
  EXPECT_EQ(judge("{\"peft_type\": \"LORA\", \"rank_pattern\": {\"a\": }}").fault,
            "adapter config: c.json: at byte 44: expected JSON");
  EXPECT_EQ(judge("{\"a\": " + std::string(500'000, '[')).fault,
            "adapter config: c.json: at byte 22: expected values nested less deeply");
  EXPECT_EQ(judge("\xef\xbb\xbf{}").fault, "adapter config: c.json: expected an object");
}

TEST(PeftConfigParser, one_error_lists_everything) {
  const Judged judged = judge(
      R"({"zeta": 1, "r": "8", "peft_type": "LORA", "lora_alpha": 1e308, "bias": "all", "modules_to_save": ["head"],
          "rank_pattern": {"q.*": 2, "v": -1, "": 3, "k": 4, "x.k": 5, "k\u0000": [1]}, "r": 3, "lora_bias": true})");
  EXPECT_EQ(judged.fault, "adapter config: c.json: these fields are not as expected:");
  EXPECT_EQ(judged.problems,
            "\n  r: expected once"
            "\n  zeta: expected nothing, null or false, as it is not implemented, got 1"
            "\n  r: expected an integer in 1 .. 65536, got \"8\""
            "\n  lora_alpha: expected a number above 0 and up to 1e6, got 1e308"
            "\n  bias: expected \"none\", got \"all\""
            "\n  modules_to_save: expected nothing, null or false, as it is not implemented, got [\"head\"]"
            "\n  rank_pattern \"q.*\": expected a name of 1 to 4096 bytes that is no regular expression"
            "\n  rank_pattern \"v\": expected an integer in 1 .. 65536, got -1"
            "\n  rank_pattern \"\": expected a name of 1 to 4096 bytes that is no regular expression"
            "\n  rank_pattern \"k\\x00\": expected an integer in 1 .. 65536, got [1]"
            "\n  lora_bias: expected nothing, null or false, as it is not implemented, got true"
            "\n  target_modules: missing"
            "\n  rank_pattern \"x.k\": expected what \"k\" says, which names the same module");
}

TEST(PeftConfigParser, a_list_of_a_hundred_problems_ends) {
  std::string text = "{\"peft_type\": \"LORA\"";
  for (int i = 0; i < 999; ++i) text += ", \"f" + std::to_string(i) + "\": 1";
  const Judged judged = judge(text + "}");
  EXPECT_EQ(std::count(judged.problems.begin(), judged.problems.end(), '\n'), 101);
  EXPECT_TRUE(judged.problems.ends_with("\n  and more"));
}

// L17: nothing that a megabyte can hold grows beyond reason.
TEST(PeftConfigParser, counts_of_names_and_fields_are_limited) {
  const auto config = [](int fields, int targets, int patterns) {
    std::string text = "{\"peft_type\": \"LORA\", \"target_modules\": [\"q\"";
    for (int i = 1; i < targets; ++i) text += ", \"" + std::to_string(i) + "\"";
    text += "], \"rank_pattern\": {\"q\": 1";
    for (int i = 1; i < patterns; ++i) text += ", \"" + std::to_string(i) + "\": 1";
    text += "}";
    for (int i = 3; i < fields; ++i) text += ", \"" + std::to_string(i) + "\": null";
    return text + "}";
  };
  const Judged most = judge(config(1000, 10'000, 10'000));
  EXPECT_EQ(most.fault + most.problems, "");
  EXPECT_NE(judge(config(1001, 1, 1)).fault.find("expected at most 1000 fields"), std::string::npos);
  EXPECT_NE(
      judge(config(3, 10'001, 1)).problems.find("target_modules: expected \"all-linear\" or a list of up to 10000"),
      std::string::npos);
  EXPECT_EQ(judge(config(3, 1, 50'000)).problems, "\n  rank_pattern: expected at most 10000 names");
}

// P2: the same whatever the order of keys is, in the object and in its patterns.
TEST(PeftConfigParser, order_of_keys_makes_no_difference) {
  std::vector<std::string> fields = {"\"peft_type\": \"LORA\"",
                                     "\"r\": 8",
                                     "\"lora_alpha\": 16",
                                     "\"use_rslora\": true",
                                     "\"target_modules\": [\"q\", \"k\", \"v\"]",
                                     "\"future\": null"};
  std::vector<std::string> ranks = {"\"q\": 2", "\"0.k\": 3", "\"^a.1.k\": 5", "\"v\": 7", "\"a.0.v\": 7"};
  std::vector<std::string> alphas = {"\"q\": 0.5", "\"1.k\": 3", "\"^a.0.k\": 32", "\"a\\\\.0\\\\.v\": 11"};
  std::mt19937 random(1);
  const auto joined = [](const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
    return "{" + text + "}";
  };
  for (int i = 0; i < 100; ++i) {
    for (std::vector<std::string>* const list : {&fields, &ranks, &alphas}) {
      std::shuffle(list->begin(), list->end(), random);
    }
    std::vector<std::string> all = fields;
    all.insert(all.begin() + i % 7, "\"rank_pattern\": " + joined(ranks));
    all.insert(all.begin() + i % 8, "\"alpha_pattern\": " + joined(alphas));
    const Judged judged = judge(joined(all));
    ASSERT_EQ(judged.fault + judged.problems, "");
    const auto& config = std::get<PeftLoraConfig>(judged.config);
    std::vector<double> values;
    for (const char* module : {"a.0.q", "a.0.k", "a.0.v", "a.1.q", "a.1.k", "a.1.v"}) {
      values.push_back(static_cast<double>(config.rank_of(module)));
      values.push_back(config.alpha_of(module));
    }
    EXPECT_EQ(values, (std::vector<double>{2, 0.5, 3, 32, 7, 11, 2, 0.5, 5, 3, 7, 16}));
    EXPECT_TRUE(config.rank_stabilized);
  }
}

// P6: patterns are not regular expressions here, so that none can take long.
TEST(PeftConfigParser, patterns_of_100_kilobytes_are_refused_at_once) {
  const auto start = std::chrono::steady_clock::now();
  const auto config = [](const std::string& pattern) {
    return "{\"peft_type\": \"LORA\", \"target_modules\": [\"q\"], \"alpha_pattern\": {\"" + pattern + "\": 1}}";
  };
  std::string nested;
  for (int i = 0; i < 20'000; ++i) nested += "(a*)*";
  for (const std::string& pattern : {nested, std::string(100'000, 'a'), std::string(100'000, '.')}) {
    EXPECT_NE(judge(config(pattern)).problems.find("1 to 4096 bytes that is no regular expression"), std::string::npos);
  }
  EXPECT_EQ(judge(config(std::string(4096, 'a'))).problems, "");
  std::string dots;
  for (int i = 0; i < 2047; ++i) dots += "a.";
  std::string many = "{\"peft_type\": \"LORA\", \"target_modules\": [\"q\"], \"rank_pattern\": {";
  for (int i = 0; i < 240; ++i) many += (i == 0 ? "\"" : ", \"") + std::to_string(i) + dots.substr(8) + "\": 1";
  EXPECT_EQ(judge(many + "}}").problems, "");
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 5)
      << "far more than it takes";
}

}  // namespace
