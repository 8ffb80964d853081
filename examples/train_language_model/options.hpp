#pragma once
// SPDX-License-Identifier: MIT

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the command line says. What shapes the model or the order of training is stored with a checkpoint.
struct Options {
  std::vector<std::string> text;  ///< files; empty for the project's own
  long steps = 1500;
  long batch = 8;
  long length = 128;  ///< bytes that the model sees at a time
  long dim = 128;
  long layers = 3;
  long heads = 4;
  long kv_heads = 2;
  long hidden = 384;
  double learning_rate = 4e-3;
  std::uint64_t seed = 1;
  int threads = 2;
  std::string checkpoint = "language_model.safetensors";
  std::optional<std::string> resume;
  std::optional<std::string> prompt;  ///< without one, a piece of the held-out text
  long generate = 400;
  double temperature = 0.7;
  bool profile = false;

  std::vector<std::string> given;  ///< names of the options that the command line has, such as `kv-heads`
};

/// The options that a checkpoint stores, as they are named on the command line. The others may differ when a run is
/// resumed.
inline constexpr std::array stored_options = {"steps", "batch",    "length", "dim",           "layers",
                                              "heads", "kv-heads", "hidden", "learning-rate", "seed"};

/// Something the user has to change; the message says what.
struct UsageError {
  std::string message;
};

/// Reads the command line. Empty if the help was asked for and has been printed.
/// Throws UsageError for an unknown option, a bad number or a value out of range.
std::optional<Options> read_options(int count, char** arguments);

/// A numeric option by its name, as text that `set_option` turns into the same number.
std::string option_text(const Options& options, std::string_view name);
/// Throws UsageError if the text is not a number in the option's range.
void set_option(Options& options, std::string_view name, std::string_view text);
