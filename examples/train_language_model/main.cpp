// SPDX-License-Identifier: MIT
// Trains a small decoder on text, byte by byte, and lets it write; see --help. What to read first: train() in
// training.cpp, one step of training; write() in writing.cpp, generation through the key/value cache; run.cpp, the
// checkpoint.

#include "baseline.hpp"
#include "peak.hpp"
#include "profile.hpp"
#include "training.hpp"
#include "writing.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>

namespace {

namespace ef = eigenformer;

constexpr int failed = 1;
constexpr int bad_command_line = 2;
constexpr int stopped = 130;  // what a shell says of a program that Ctrl-C has ended

volatile std::sig_atomic_t interrupted = 0;

/// The first Ctrl-C asks to stop, the second stops.
void stop_at_ctrl_c() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

Text chosen_text(const Options& options) {
  std::vector<std::filesystem::path> files(options.text.begin(), options.text.end());
  if (files.empty()) files = project_files(EIGENFORMER_SOURCE_DIR);
  return read_text(files, std::max<std::size_t>(4096, static_cast<std::size_t>(options.length) + 1));
}

/// A new run, or the one to resume.
Run begin(const Options& options, const Text& text, ef::Context& context) {
  if (options.resume) {
    Run run = load_run(*options.resume, options);
    if (run.text != text.fingerprint) {
      throw std::runtime_error("'" + *options.resume +
                               "' was begun with another text: give the same files with --text");
    }
    std::printf("resumed      '%s' after step %ld of %ld\n", options.resume->c_str(), run.step, run.options.steps);
    return run;
  }
  Run run(options);
  run.text = text.fingerprint;
  run.bits_before = bits_per_byte(run.model, text.held_out, options, context);
  return run;
}

void describe(const Run& run, const Text& text, const ef::Context& context, double peak) {
  const Options& options = run.options;
  std::printf("text         %zu bytes of %zu files to learn from, %zu held out\n", text.training.size(), text.files,
              text.held_out.size());
  std::printf(
      "model        %td parameters: %ld layers of %ld features, %ld query and %ld key/value heads, hidden %ld\n",
      ef::parameter_count(run.model), options.layers, options.dim, options.heads, options.kv_heads, options.hidden);
  std::printf("machine      %d threads, %s, at most %.1f GFLOP/s (fp32 multiply-adds in registers)\n",
              context.threads(), std::string(ef::name(context.instruction_set())).c_str(), peak * 1e-9);
  std::printf("held out     bits per byte: unigram %.3f, bigram %.3f, model before training %.3f\n",
              unigram_bits_per_byte(text.training, text.held_out), bigram_bits_per_byte(text.training, text.held_out),
              run.bits_before);
  std::fflush(stdout);
}

void report(const Run& run, const TrainingSpeed& speed, double peak) {
  if (speed.steps == 0) return;
  const double used = speed.tokens_per_second * operations_per_token(run.model, run.options);
  std::printf("training     %ld steps in %.1f s, %.0f tokens/s; model FLOPs utilisation %.1f %% (%.1f GFLOP/s)\n",
              speed.steps, speed.seconds, speed.tokens_per_second, 100 * used / peak, used * 1e-9);
}

void report(const Writing& writing, const std::string& prompt) {
  std::printf("prefill      %ld tokens, %.0f tokens/s\n", writing.prefill_tokens,
              static_cast<double>(writing.prefill_tokens) / writing.prefill_seconds);
  if (writing.decode_tokens > 0) {
    std::printf("decoding     %ld tokens, %.0f tokens/s\n", writing.decode_tokens,
                static_cast<double>(writing.decode_tokens) / writing.decode_seconds);
  }
  std::printf("\n--- prompt\n%s\n--- the model goes on\n%s\n", printable(prompt).c_str(),
              printable(writing.text).c_str());
}

int run_with(const Options& asked) {
  const std::string checkpoint =
      asked.resume && std::find(asked.given.begin(), asked.given.end(), "checkpoint") == asked.given.end()
          ? *asked.resume
          : asked.checkpoint;
  require_writable(checkpoint);
  TimeProfile profile;
  ef::Context context({.threads = asked.threads});
  ef::Context profiled({.threads = asked.threads, .profiler = asked.profile ? &profile : nullptr});
  const Text text = chosen_text(asked);
  const double peak = peak_operations_per_second(context);
  Run run = begin(asked, text, context);
  describe(run, text, context, peak);

  stop_at_ctrl_c();
  const TrainingSpeed speed = train(run, text, profiled, interrupted);
  save_run(checkpoint, run);
  report(run, speed, peak);
  if (asked.profile) profile.print(std::cout);
  if (interrupted != 0) {
    std::printf("stopped      after step %ld of %ld; saved to '%s', go on with --resume '%s'\n", run.step,
                run.options.steps, checkpoint.c_str(), checkpoint.c_str());
    return stopped;
  }
  const Model model = load_model(checkpoint, run.options);
  std::printf("held out     bits per byte: %.3f before, %.3f after training\n", run.bits_before,
              bits_per_byte(model, text.held_out, run.options, context));
  std::printf("saved        '%s', loaded back\n", checkpoint.c_str());
  if (asked.generate > 0) {
    const std::string prompt =
        asked.prompt.value_or(text.held_out.substr(0, static_cast<std::size_t>(run.options.length) / 2));
    report(write(model, prompt, run.options, context, interrupted), prompt);
  }
  return interrupted == 0 ? 0 : stopped;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const std::optional<Options> options = read_options(count, arguments);
    return options ? run_with(*options) : 0;
  } catch (const UsageError& error) {
    std::cerr << "train_language_model: " << error.message << "\nSee train_language_model --help.\n";
    return bad_command_line;
  } catch (const std::bad_alloc&) {
    std::cerr << "train_language_model: not enough memory for a model and a batch of that size\n";
  } catch (const std::exception& error) {
    std::cerr << "train_language_model: " << error.what() << '\n';
  }
  return failed;
}
