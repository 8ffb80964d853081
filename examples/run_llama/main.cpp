// SPDX-License-Identifier: MIT
// Reads a published Llama model and lets it write; see --help. What to read first: write() below, generation through the
// key/value cache; model.cpp, how a checkpoint becomes a model; tokenizer.hpp and sampler.hpp, what the library leaves
// to its users.

#include "model.hpp"
#include "options.hpp"
#include "sampler.hpp"
#include "text_stream.hpp"
#include "tokenizer.hpp"

#include <eigenformer/core/error.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>

namespace {

namespace ef = eigenformer;

constexpr int failed = 1;
constexpr int bad_command_line = 2;

double seconds_of(const auto& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// What took how long, and why it ended.
struct Report {
  long prefill_tokens = 0;
  double prefill_seconds = 0;
  long decode_tokens = 0;
  double decode_seconds = 0;
  std::string ending;
};

std::filesystem::path tokenizer_of(const Options& options, ef::Index vocabulary) {
  if (options.tokenizer) return *options.tokenizer;
  std::filesystem::path folder = options.checkpoint;
  if (!std::filesystem::is_directory(folder)) folder = folder.has_parent_path() ? folder.parent_path() : ".";
  const std::string sized = "tok" + std::to_string(vocabulary) + ".bin";
  for (const std::string& name : {std::string("tokenizer.bin"), sized}) {
    if (std::filesystem::exists(folder / name)) return folder / name;
  }
  throw std::runtime_error("neither tokenizer.bin nor " + sized + " in '" + folder.string() +
                           "': say with --tokenizer where it is");
}

void show(const std::string& text) {
  std::cout << text << std::flush;
  if (!std::cout) throw std::runtime_error("cannot write the text");
}

/// Shows the prompt and what the model writes behind it, token by token.
Report write(LanguageModel& model, const Tokenizer& tokenizer, const Options& options, ef::Context& context) {
  const ef::LlamaConfig& config = model.config;
  std::vector<std::int32_t> prompt = tokenizer.encode(options.prompt);
  if (config.begin_token != ef::LlamaConfig::no_token) prompt.insert(prompt.begin(), config.begin_token);
  const auto length = static_cast<ef::Index>(prompt.size());
  if (length == 0) throw std::runtime_error("expected a prompt: this model has no token for the beginning of a text");
  if (length > config.max_length) {
    throw std::runtime_error("the prompt has " + std::to_string(length) + " tokens, but the model was made for " +
                             std::to_string(config.max_length));
  }
  const auto is_end = [&](std::int32_t token) {
    return token == config.begin_token || std::ranges::count(config.ends(), token) > 0;
  };
  TextStream text;
  for (std::size_t i = 1; i < prompt.size(); ++i) {
    show(text.push(tokenizer.decode(prompt[i - 1], prompt[i], config.begin_token)));
  }
  Sampler sampler({.temperature = options.temperature, .top_p = options.top_p, .seed = options.seed});
  std::vector<float> logits(static_cast<std::size_t>(config.decoder.vocabulary));
  Report report;
  model.begin(std::min(config.max_length, length + options.max_tokens), options.cache);
  report.prefill_tokens = length;
  report.prefill_seconds = seconds_of([&] { model.next_logits(prompt, logits, context); });
  std::int32_t previous = prompt.back();
  for (long written = 0;; ++written) {
    if (written == options.max_tokens) {
      report.ending = "after " + std::to_string(written) + " tokens, as --max-tokens says";
      break;
    }
    const std::int32_t token = sampler(logits);
    if (is_end(token)) {
      report.ending = "where the model ended the text";
      break;
    }
    show(text.push(tokenizer.decode(previous, token, config.begin_token)));
    previous = token;
    if (length + written == config.max_length) {
      report.ending = "at the model's context of " + std::to_string(config.max_length) + " tokens";
      break;
    }
    if (written + 1 == options.max_tokens) continue;
    report.decode_seconds += seconds_of([&] { model.next_logits(std::span(&token, 1), logits, context); });
    ++report.decode_tokens;
  }
  show(text.finish() + "\n");
  return report;
}

void print_speed(const char* what, long tokens, double seconds) {
  if (tokens > 0)
    std::fprintf(stderr, "%-12s %ld tokens, %.0f tokens/s\n", what, tokens, static_cast<double>(tokens) / seconds);
}

void run_with(const Options& options) {
  const std::unique_ptr<LanguageModel> model =
      open_model(options.checkpoint, options.follow_links ? ef::SymbolicLinks::anywhere : ef::SymbolicLinks::inside);
  const ef::DecoderOptions& o = model->config.decoder;
  std::fprintf(
      stderr,
      "model        %td parameters stored as %s: %td layers of %td features, %td query and %td key/value heads, "
      "%td tokens, context %td\n",
      model->parameters, model->stored_as.c_str(), o.layers, o.dim, o.heads, o.kv_heads, o.vocabulary,
      model->config.max_length);
  const Tokenizer tokenizer(tokenizer_of(options, o.vocabulary), o.vocabulary);
  ef::Context context({.threads = options.threads});
  const Report report = write(*model, tokenizer, options, context);
  print_speed("prefill", report.prefill_tokens, report.prefill_seconds);
  print_speed("decoding", report.decode_tokens, report.decode_seconds);
  std::fprintf(stderr, "stopped      %s\n", report.ending.c_str());
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (const std::optional<Options> options = read_options(count, arguments)) run_with(*options);
    return 0;
  } catch (const UsageError& error) {
    std::cerr << "run_llama: " << error.message << "\nSee run_llama --help.\n";
    return bad_command_line;
  } catch (const std::bad_alloc&) {
    std::cerr << "run_llama: not enough memory for this model\n";
  } catch (const std::exception& error) {
    std::cerr << "run_llama: " << error.what() << '\n';
  }
  return failed;
}
