#pragma once
// SPDX-License-Identifier: MIT

#include "run.hpp"

#include <csignal>

/// How fast training was.
struct TrainingSpeed {
  long steps = 0;
  double seconds = 0;
  double tokens_per_second = 0;
};

/// Trains until run.options.steps are done or `interrupted` is set, and shows the progress on stderr.
TrainingSpeed train(Run& run, const Text& text, eigenformer::Context& context,
                    const volatile std::sig_atomic_t& interrupted);

/// What the model makes of a text, in bits per byte, read in windows of the length that it was trained with.
double bits_per_byte(const Model& model, const std::string& text, const Options& options,
                     eigenformer::Context& context);

/// Arithmetic of one token in training, forward and backward: 6 N + 12 L H Q T (Chowdhery et al. 2022, "PaLM", appendix
/// B) with N parameters (the embedding is counted once, as the output projection that it also is), L layers, H heads of
/// dimension Q and T tokens in a window. Half of the attention term is for keys that a causal mask hides and that are
/// never multiplied; it is in the definition, so it is counted.
double operations_per_token(const Model& model, const Options& options);
