// SPDX-License-Identifier: MIT

#include "run.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <stdexcept>

namespace ef = eigenformer;

namespace {

constexpr const char* format = "eigenformer train_language_model 1";

/// Makes the optimiser's state look like a model to the checkpoint functions.
struct OptimizerTensors {
  Run& run;
  template <class Visitor>
  void visit_parameters(Visitor&& visitor) const {
    run.optimizer.visit_state(run.model, visitor);
  }
};

std::string hexadecimal(std::uint64_t number) {
  char digits[17];
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, number, 16).ptr);
}

std::string stored(const ef::SafetensorsFile& file, std::string_view key) {
  const auto text = file.metadata(key);
  if (!text)
    throw std::runtime_error("'" + file.source() + "' is no checkpoint of this program: it lacks '" + std::string(key) +
                             "'");
  return std::string(*text);
}

template <class Number, class... Base>
Number stored_number(const ef::SafetensorsFile& file, std::string_view key, Base... base) {
  const std::string text = stored(file, key);
  Number number{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number, base...);
  if (error != std::errc() || stop != text.data() + text.size()) {
    throw std::runtime_error("'" + file.source() + "': expected a number as '" + std::string(key) + "', got '" + text +
                             "'");
  }
  return number;
}

/// The stored options over those of the command line, which must not contradict them.
Options merged_options(const ef::SafetensorsFile& file, const Options& asked) {
  if (stored(file, "format") != format) {
    throw std::runtime_error("'" + file.source() + "': expected format '" + format + "', got '" +
                             stored(file, "format") + "'");
  }
  Options merged = asked;
  for (const char* name : stored_options) {
    try {
      set_option(merged, name, stored(file, name));
    } catch (const UsageError& error) {
      throw std::runtime_error("'" + file.source() + "': " + error.message);
    }
    const bool given = std::find(asked.given.begin(), asked.given.end(), name) != asked.given.end();
    if (given && option_text(asked, name) != option_text(merged, name)) {
      throw std::runtime_error("--" + std::string(name) + " " + option_text(asked, name) + " contradicts '" +
                               file.source() + "', which was begun with " + option_text(merged, name));
    }
  }
  return merged;
}

/// A file that claims a larger model than it holds must not make us take the memory for it.
void require_size(const ef::SafetensorsFile& file, const Options& options) {
  const auto dim = static_cast<double>(options.dim);
  const double attention =
      dim * dim * (2 + 2 * static_cast<double>(options.kv_heads) / static_cast<double>(options.heads));
  const double layer = attention + 3 * dim * static_cast<double>(options.hidden);
  double numbers = 0;
  for (std::size_t i = 0; i < file.size(); ++i) numbers += static_cast<double>(file[i].shape.size());
  if (numbers < 256 * dim + static_cast<double>(options.layers) * layer) {
    throw std::runtime_error("'" + file.source() + "' holds fewer numbers than the model that it describes");
  }
}

}  // namespace

ef::DecoderOptions model_options(const Options& options) {
  return {.vocabulary = 256,
          .dim = options.dim,
          .layers = options.layers,
          .heads = options.heads,
          .kv_heads = options.kv_heads,
          .hidden = options.hidden};
}

Run::Run(const Options& chosen)
    : options(chosen),
      model(model_options(chosen), ef::Random(chosen.seed)),
      optimizer({.learning_rate = chosen.learning_rate,
                 .beta2 = 0.99,
                 .weight_decay = 0.1,
                 .decay = ef::WeightDecay::matrices}),
      order(chosen.seed + 1) {}

void save_run(const std::string& path, Run& run) {
  ef::SafetensorsWriter writer;
  writer.metadata["format"] = format;
  for (const char* name : stored_options) writer.metadata[name] = option_text(run.options, name);
  writer.metadata["step"] = std::to_string(run.step);
  writer.metadata["text"] = hexadecimal(run.text);
  for (std::size_t i = 0; i < 4; ++i) writer.metadata["order" + std::to_string(i)] = hexadecimal(run.order.state()[i]);
  char digits[32];
  writer.metadata["bits before"] =
      std::string(digits, std::to_chars(digits, digits + sizeof digits, run.bits_before).ptr);
  writer.add_parameters(run.model, "model.");
  writer.add_parameters(OptimizerTensors{run}, "optimizer.");
  writer.write(path);
}

Run load_run(const std::string& path, const Options& asked) {
  const ef::SafetensorsFile file(path);
  const Options options = merged_options(file, asked);
  require_size(file, options);
  Run run(options);
  run.step = stored_number<long>(file, "step");
  if (run.step < 0 || run.step > options.steps) {
    throw std::runtime_error("'" + path + "': expected a step in 0 .. " + std::to_string(options.steps) + ", got " +
                             std::to_string(run.step));
  }
  run.text = stored_number<std::uint64_t>(file, "text", 16);
  run.bits_before = stored_number<double>(file, "bits before");
  std::array<std::uint64_t, 4> order{};
  for (std::size_t i = 0; i < 4; ++i) order[i] = stored_number<std::uint64_t>(file, "order" + std::to_string(i), 16);
  run.order.restore(order);
  ef::load_parameters(file, run.model, {.read = {.finite = ef::Finite::required}, .prefix = "model."});
  OptimizerTensors state{run};
  ef::load_parameters(file, state, {.read = {.finite = ef::Finite::required}, .prefix = "optimizer."});
  return run;
}

Origin read_origin(const std::string& path) {
  const ef::SafetensorsFile file(path);
  const Options options = merged_options(file, {});
  require_size(file, options);
  return {options, stored_number<std::uint64_t>(file, "text", 16)};
}

void require_writable(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  const std::string problem = fs::is_directory(path)      ? "it is a directory"
                              : !fs::is_directory(folder) ? "there is no directory '" + folder.string() + "'"
                              : access(folder.c_str(), W_OK | X_OK) != 0
                                  ? "no permission to write to '" + folder.string() + "'"
                                  : "";
  if (!problem.empty()) throw std::runtime_error("cannot save to '" + path + "': " + problem);
}
