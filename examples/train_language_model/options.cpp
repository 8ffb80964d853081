// SPDX-License-Identifier: MIT

#include "options.hpp"

#include <getopt.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <limits>
#include <thread>

namespace {

constexpr const char* usage = R"(usage: train_language_model [options]

Trains a small byte-level language model on text, saves it, loads it back and lets it write.

  --text FILE...       what to learn from (default: the headers, tests and documents of this project)
  --steps N            optimiser steps (1500)
  --batch N            windows per step (8)
  --length N           bytes per window (128)
  --dim N              features of a position (128)
  --layers N           layers (3)
  --heads N            query heads (4)
  --kv-heads N         key/value heads, a divisor of --heads (2)
  --hidden N           features inside the feed-forward blocks (384)
  --learning-rate X    highest learning rate, after the warm-up (0.004)
  --seed N             of the first weights, the order of the text and what is generated (1)
  --threads N          threads; results do not depend on it (all processors)
  --checkpoint FILE    where to save (language_model.safetensors)
  --resume FILE        go on from a checkpoint, which also says what the model is like; with the same text
  --prompt TEXT        what to continue (default: a piece of the held-out text)
  --generate N         bytes to write at the end (400)
  --temperature X      0 always takes the likeliest byte; 1 draws as the model predicts (0.7)
  --profile            print where the time of training went
  --help               print this

Progress goes to stderr, results to stdout. Ctrl-C saves what is there and stops; a second Ctrl-C stops at once.
Exit status: 0 if all went well, 1 after an error, 2 for a bad command line, 130 after Ctrl-C.
)";

constexpr option known[] = {{"text", required_argument, nullptr, 0},
                            {"steps", required_argument, nullptr, 0},
                            {"batch", required_argument, nullptr, 0},
                            {"length", required_argument, nullptr, 0},
                            {"dim", required_argument, nullptr, 0},
                            {"layers", required_argument, nullptr, 0},
                            {"heads", required_argument, nullptr, 0},
                            {"kv-heads", required_argument, nullptr, 0},
                            {"hidden", required_argument, nullptr, 0},
                            {"learning-rate", required_argument, nullptr, 0},
                            {"seed", required_argument, nullptr, 0},
                            {"threads", required_argument, nullptr, 0},
                            {"checkpoint", required_argument, nullptr, 0},
                            {"resume", required_argument, nullptr, 0},
                            {"prompt", required_argument, nullptr, 0},
                            {"generate", required_argument, nullptr, 0},
                            {"temperature", required_argument, nullptr, 0},
                            {"profile", no_argument, nullptr, 0},
                            {"help", no_argument, nullptr, 0},
                            {nullptr, 0, nullptr, 0}};

/// Calls visit(name, value, lowest, highest) for every option that is a number.
template <class AnyOptions, class Visit>
void visit_numbers(AnyOptions& options, const Visit& visit) {
  constexpr long many = 1'000'000'000;
  visit("steps", options.steps, 0L, many);
  visit("batch", options.batch, 1L, 65536L);
  visit("length", options.length, 2L, 65536L);
  visit("dim", options.dim, 2L, 65536L);
  visit("layers", options.layers, 1L, 1024L);
  visit("heads", options.heads, 1L, 1024L);
  visit("kv-heads", options.kv_heads, 1L, 1024L);
  visit("hidden", options.hidden, 1L, 262144L);
  visit("learning-rate", options.learning_rate, 0.0, 10.0);
  visit("seed", options.seed, std::uint64_t{0}, (std::numeric_limits<std::uint64_t>::max)());
  visit("threads", options.threads, 1, 1024);
  visit("generate", options.generate, 0L, many);
  visit("temperature", options.temperature, 0.0, 100.0);
}

/// The shortest text that stands for exactly this number.
template <class Number>
std::string shown(Number number) {
  char digits[32];
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void take(Options& options, const std::string& name, const char* argument) {
  if (name == "text")
    options.text.emplace_back(argument);
  else if (name == "checkpoint")
    options.checkpoint = argument;
  else if (name == "resume")
    options.resume = argument;
  else if (name == "prompt")
    options.prompt = argument;
  else if (name == "profile")
    options.profile = true;
  else
    set_option(options, name, argument);
}

}  // namespace

std::optional<Options> read_options(int count, char** arguments) {
  Options options;
  options.threads = static_cast<int>((std::max)(1U, std::thread::hardware_concurrency()));
  opterr = 0;  // messages are ours
  int which = 0;
  // The leading '-' hands over arguments that belong to no option where they stand: more files after --text.
  for (int found = 0; (found = getopt_long(count, arguments, "-", known, &which)) != -1;) {
    if (found == 0 && known[which].name == std::string_view("help")) {
      std::cout << usage;
      return std::nullopt;
    }
    if (found == 0) {
      options.given.emplace_back(known[which].name);
      take(options, options.given.back(), optarg);
    } else if (found == 1 && !options.given.empty() && options.given.back() == "text") {
      options.text.emplace_back(optarg);
    } else if (found == 1) {
      throw UsageError{"unexpected argument '" + std::string(optarg) + "'"};
    } else {
      throw UsageError{"unknown option or missing value: '" + std::string(arguments[optind - 1]) + "'"};
    }
  }
  if (optind < count) throw UsageError{"unexpected argument '" + std::string(arguments[optind]) + "'"};
  if (options.prompt && options.prompt->empty()) throw UsageError{"--prompt: expected some text, got ''"};
  return options;
}

std::string option_text(const Options& options, std::string_view name) {
  std::string text;
  visit_numbers(options, [&](std::string_view each, auto value, auto, auto) {
    if (each == name) text = shown(value);
  });
  return text;
}

void set_option(Options& options, std::string_view name, std::string_view text) {
  visit_numbers(options, [&](std::string_view each, auto& value, auto low, auto high) {
    if (each != name) return;
    auto number = low;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    // Written so that NaN, which from_chars reads, is in no range, also where the compiler takes it for impossible.
    const bool whole =
        error == std::errc() && stop == text.data() + text.size() && shown(number) != "nan" && shown(number) != "-nan";
    if (!whole || !(number >= low) || !(number <= high)) {
      throw UsageError{"--" + std::string(name) + ": expected a number in " + shown(low) + " .. " + shown(high) +
                       ", got '" + std::string(text) + "'"};
    }
    value = number;
  });
}
