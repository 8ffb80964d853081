#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/dtype.hpp>

#include <cstdint>
#include <optional>
#include <string>

/// What the command line says.
struct Options {
  std::string checkpoint;
  std::string prompt;
  std::optional<std::string> tokenizer;  ///< without one, tokenizer.bin or tok<vocabulary>.bin beside the checkpoint
  double temperature = 0;
  double top_p = 1;
  long max_tokens = 256;
  std::uint64_t seed = 1;
  int threads = 1;
  eigenformer::Dtype cache = eigenformer::Dtype::f32;  ///< what keys and values are kept as
  bool follow_links = false;                           ///< files of the folder may be links to anywhere
};

/// Something the user has to change; the message says what.
struct UsageError {
  std::string message;
};

/// Reads the command line. Empty if the help was asked for and has been printed. Throws UsageError.
std::optional<Options> read_options(int count, char** arguments);
