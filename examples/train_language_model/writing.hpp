#pragma once
// SPDX-License-Identifier: MIT

#include "run.hpp"

#include <csignal>
#include <span>

/// What a model wrote, and how fast.
struct Writing {
  std::string text;
  long prefill_tokens = 0;
  double prefill_seconds = 0;
  long decode_tokens = 0;
  double decode_seconds = 0;
};

/// Continues the prompt by options.generate bytes, one at a time through the key/value cache. Of a long prompt the last
/// options.length bytes are read; when the cache holds that many, it begins anew with the last half of them.
Writing write(const Model& model, const std::string& prompt, const Options& options, eigenformer::Context& context,
              const volatile std::sig_atomic_t& interrupted);

/// Draws a byte from softmax(logits / temperature), or takes the likeliest if the temperature is 0.
std::int32_t draw(std::span<const float> logits, double temperature, eigenformer::Random& random);

/// The text as a terminal takes it: control characters and bytes that are no UTF-8 become '?'.
std::string printable(const std::string& text);
