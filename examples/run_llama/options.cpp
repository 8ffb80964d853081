// SPDX-License-Identifier: MIT

#include "options.hpp"

#include <getopt.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <limits>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr const char* usage = R"(usage: run_llama CHECKPOINT [PROMPT] [options]

Lets a Llama model go on from a prompt. CHECKPOINT is a folder as HuggingFace's transformers writes it (config.json and
model.safetensors, or its parts with model.safetensors.index.json), or a model file of llama2.c.

  --temperature X      0 always takes the likeliest token; 1 draws as the model predicts (0)
  --top-p X            draw among the likeliest tokens that have this probability together (1)
  --max-tokens N       tokens to write (256)
  --seed N             of what is drawn (1)
  --threads N          threads; results do not depend on it (all processors)
  --cache TYPE         what keys and values are kept as: float32, bfloat16 or float16 (float32)
  --tokenizer FILE     of llama2.c's format (default: tokenizer.bin or tok<vocabulary>.bin beside the checkpoint)
  --follow-links       the folder's files may be links that lead out of it, as in HuggingFace's cache
  --help               print this

The text goes to stdout as it comes, everything else to stderr.
Exit status: 0 if all went well, 1 after an error, 2 for a bad command line.
)";

constexpr option known[] = {{"temperature", required_argument, nullptr, 0},
                            {"top-p", required_argument, nullptr, 0},
                            {"max-tokens", required_argument, nullptr, 0},
                            {"seed", required_argument, nullptr, 0},
                            {"threads", required_argument, nullptr, 0},
                            {"cache", required_argument, nullptr, 0},
                            {"tokenizer", required_argument, nullptr, 0},
                            {"follow-links", no_argument, nullptr, 0},
                            {"help", no_argument, nullptr, 0},
                            {nullptr, 0, nullptr, 0}};

template <class Number>
std::string shown(Number number) {
  char digits[32];
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

template <class Number>
void set(Number& value, std::string_view name, std::string_view text, Number low, Number high) {
  Number number = low;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && stop == text.data() + text.size();
  // The text of a NaN, which from_chars reads, is in no range, also where the compiler takes NaN for impossible.
  if (!whole || shown(number).find("nan") != std::string::npos || !(number >= low) || !(number <= high)) {
    throw UsageError{"--" + std::string(name) + ": expected a number in " + shown(low) + " .. " + shown(high) +
                     ", got '" + std::string(text) + "'"};
  }
  value = number;
}

eigenformer::Dtype cache_type(std::string_view text) {
  if (text == "float32") return eigenformer::Dtype::f32;
  if (text == "bfloat16") return eigenformer::Dtype::bf16;
  if (text == "float16") return eigenformer::Dtype::f16;
  throw UsageError{"--cache: expected float32, bfloat16 or float16, got '" + std::string(text) + "'"};
}

void take(Options& options, std::string_view name, const char* text) {
  if (name == "temperature") set(options.temperature, name, text, 0.0, 100.0);
  if (name == "top-p") set(options.top_p, name, text, 0.0, 1.0);
  if (name == "max-tokens") set(options.max_tokens, name, text, 0L, 1'000'000'000L);
  if (name == "seed") set(options.seed, name, text, std::uint64_t{0}, (std::numeric_limits<std::uint64_t>::max)());
  if (name == "threads") set(options.threads, name, text, 1, 1024);
  if (name == "cache") options.cache = cache_type(text);
  if (name == "tokenizer") options.tokenizer = text;
  if (name == "follow-links") options.follow_links = true;
}

}  // namespace

std::optional<Options> read_options(int count, char** arguments) {
  Options options;
  options.threads = static_cast<int>((std::max)(1U, std::thread::hardware_concurrency()));
  std::vector<std::string> words;
  opterr = 0;  // messages are ours
  int which = 0;
  // The leading '-' hands over the words that belong to no option where they stand.
  for (int found = 0; (found = getopt_long(count, arguments, "-", known, &which)) != -1;) {
    if (found == 0 && known[which].name == std::string_view("help")) {
      std::cout << usage;
      return std::nullopt;
    }
    if (found == 0) {
      take(options, known[which].name, optarg);
    } else if (found == 1) {
      words.emplace_back(optarg);
    } else {
      throw UsageError{"unknown option or missing value: '" + std::string(arguments[optind - 1]) + "'"};
    }
  }
  for (; optind < count; ++optind) words.emplace_back(arguments[optind]);  // behind "--"
  if (words.empty()) throw UsageError{"expected a checkpoint"};
  if (words.size() > 2) throw UsageError{"unexpected argument '" + words[2] + "': quote a prompt of several words"};
  options.checkpoint = words[0];
  if (words.size() == 2) options.prompt = words[1];
  return options;
}
