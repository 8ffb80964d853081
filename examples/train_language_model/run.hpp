#pragma once
// SPDX-License-Identifier: MIT

#include "options.hpp"
#include "text.hpp"

#include <eigenformer/core/random.hpp>
#include <eigenformer/kernels/compiled/kernels.hpp>
#include <eigenformer/model/decoder.hpp>
#include <eigenformer/train/adamw.hpp>

using Model = eigenformer::LlamaDecoder<float>;

/// A model in training: all that must be kept to go on later as if nothing had happened.
struct Run {
  explicit Run(const Options& chosen);

  Options options;
  Model model;
  eigenformer::AdamW<float> optimizer;
  eigenformer::Random order;  ///< draws the windows of text
  long step = 0;              ///< steps done
  double bits_before = 0;     ///< held-out bits per byte before the first step
  std::uint64_t text = 0;     ///< fingerprint of what it learns from
};

/// Writes the run as safetensors: the model's tensors under `model.`, the optimiser's under `optimizer.`, the rest as
/// metadata.
void save_run(const std::string& path, Run& run);

/// Reads a run that save_run wrote. What `asked` has from the command line must agree with it.
/// Throws eigenformer::FileError or std::runtime_error that names what is wrong.
Run load_run(const std::string& path, const Options& asked);

/// The model of a file that save_run wrote, into a new one of its shape.
Model load_model(const std::string& path, const Options& options);

/// Throws std::runtime_error unless a file can be written there.
void require_writable(const std::string& path);
