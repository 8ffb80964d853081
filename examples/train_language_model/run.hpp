#pragma once
// SPDX-License-Identifier: MIT

#include "options.hpp"
#include "text.hpp"

#include <eigenformer/core/random.hpp>
#include <eigenformer/io/checkpoint.hpp>
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

/// What a model is like.
eigenformer::DecoderOptions model_options(const Options& options);

/// What a file that save_run wrote says of its model, and the fingerprint of the text that this has learnt from.
struct Origin {
  Options options;
  std::uint64_t text = 0;
};
Origin read_origin(const std::string& path);

/// The model of a file that save_run wrote, into a new one of its shape: a Model, or one with the same parameters.
template <class Loaded = Model>
Loaded load_model(const std::string& path, const Options& options) {
  Loaded model(model_options(options), eigenformer::Random(0));
  eigenformer::load_safetensors(path, model, {.read = {.finite = eigenformer::Finite::required}, .prefix = "model."});
  return model;
}

/// Throws std::runtime_error unless a file can be written there.
void require_writable(const std::string& path);
