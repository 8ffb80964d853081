#pragma once
// SPDX-License-Identifier: MIT
// Every size that is measured, in one place. Models are called by name: Llama 110M (dim 768, 12 heads, hidden 2048,
// vocabulary 32000), BitNet 2B (dim 2560, 20 heads, 5 of keys and values, hidden 6912), ViT-B (dim 768, 12 heads,
// 197 tokens, hidden 3072) and stages of EfficientViT-M0 (the first: dim 64, hidden 128, 14 x 14 positions) to M5 (the
// last: dim 384, hidden 768, 4 x 4 positions) among them.

#include <eigenformer/core/tensor.hpp>

#include <array>
#include <string>
#include <string_view>

namespace bench::grid {

using eigenformer::Index;

/// "<size> (<model>)", or the size alone.
inline std::string with_model(std::string size, std::string_view model) {
  return model.empty() ? size : size + " (" + std::string(model) + ")";
}

/// [rows, depth] times [depth, columns].
struct Product {
  std::string_view model;
  Index rows, depth, columns;
  constexpr std::array<Index, 3> dimensions() const { return {rows, depth, columns}; }
  std::string shape() const {
    return with_model(std::to_string(rows) + " x " + std::to_string(depth) + " x " + std::to_string(columns), model);
  }
};
inline constexpr std::array products = {Product{"", 64, 64, 64}, Product{"", 128, 128, 128}, Product{"", 256, 256, 256},
                                        Product{"", 512, 512, 512}, Product{"", 1024, 1024, 1024}};

/// A linear layer, `rows` tokens through weights [columns, depth].
struct Linear : Product {
  std::string shape() const {
    return with_model(std::to_string(rows) + " x " + std::to_string(depth) + " -> " + std::to_string(columns), model);
  }
};
inline constexpr std::array linear_of_one_row = {Linear{{"", 1, 4096, 4096}}, Linear{{"Llama 110M", 1, 768, 2048}},
                                                 Linear{{"BitNet 2B", 1, 2560, 6912}}, Linear{{"", 1, 512, 512}}};
inline constexpr std::array linear_of_few_rows = {
    Linear{{"", 8, 4096, 4096}}, Linear{{"EfficientViT-M5", 16, 384, 768}}, Linear{{"", 16, 128, 384}}};
inline constexpr std::array linear_of_many_rows = {Linear{{"", 128, 768, 3072}}, Linear{{"ViT-B", 197, 768, 3072}},
                                                   Linear{{"EfficientViT-M0", 196, 64, 128}}};

inline constexpr std::array bit_products_of_one_row = {
    Linear{{"", 1, 4096, 4096}}, Linear{{"BitNet 2B", 1, 2560, 6912}}, Linear{{"BitNet 2B", 1, 6912, 2560}},
    Linear{{"", 1, 4099, 4111}}};
inline constexpr std::array bit_products_of_rows = {Linear{{"", 8, 4096, 4096}}, Linear{{"", 128, 4096, 4096}}};

/// Sequences with adapters of a linear layer.
struct Adapted : Linear {
  Index sequences, adapters, rank;
};
inline constexpr std::array adapted = {Adapted{{"", 128, 4096, 4096}, 32, 8, 8},
                                       Adapted{{"", 32, 4096, 4096}, 32, 8, 8}};

/// Attention of one sequence.
struct Attention {
  std::string_view model;
  Index queries, keys, heads, kv_heads, head_dim;
  constexpr std::array<Index, 5> dimensions() const { return {queries, keys, heads, kv_heads, head_dim}; }
  std::string shape() const {
    const std::string of_heads =
        heads == kv_heads ? std::to_string(heads) : std::to_string(heads) + ":" + std::to_string(kv_heads);
    return with_model(std::to_string(keys) + " tokens, " + of_heads + " x " + std::to_string(head_dim), model);
  }
};
inline constexpr std::array attention = {Attention{"ViT-B", 197, 197, 12, 12, 64}, Attention{"", 512, 512, 12, 12, 64},
                                         Attention{"", 2048, 2048, 12, 12, 64}};
inline constexpr std::array causal_attention = {
    Attention{"", 128, 128, 12, 12, 64}, Attention{"", 512, 512, 12, 12, 64}, Attention{"", 2048, 2048, 12, 12, 64},
    Attention{"", 4096, 4096, 12, 12, 64}};
inline constexpr std::array masked_attention = {Attention{"", 4096, 4096, 12, 12, 64}};
inline constexpr std::array attention_with_dropout = {Attention{"", 512, 512, 12, 12, 64},
                                                      Attention{"", 2048, 2048, 12, 12, 64}};
inline constexpr std::array attention_backward = {Attention{"", 512, 512, 12, 12, 64}};
inline constexpr std::array causal_attention_backward = {Attention{"", 512, 512, 12, 12, 64},
                                                         Attention{"", 2048, 2048, 12, 12, 64}};
inline constexpr std::array decoding_attention = {
    Attention{"", 1, 4096, 32, 32, 128}, Attention{"", 1, 4096, 32, 8, 128}, Attention{"", 1, 4096, 32, 1, 128},
    Attention{"BitNet 2B", 1, 2048, 20, 5, 128}, Attention{"Llama 110M", 1, 1024, 12, 12, 64}};
inline constexpr std::array stored_decoding_attention = {
    Attention{"", 1, 4096, 32, 32, 128}, Attention{"", 1, 4096, 32, 8, 128}, Attention{"", 1, 4096, 32, 1, 128}};

/// Cascaded group attention of images of side x side pixels in windows, as in EfficientViT; 0 for a head that is not there.
struct CascadedAttention {
  std::string_view model;
  Index images, side, window, dim, heads;
  std::array<Index, 4> kernels;
  static constexpr Index key_dim = 16;
  constexpr std::array<Index, 9> dimensions() const {
    return {images, side, window, dim, key_dim, kernels[0], kernels[1], kernels[2], kernels[3]};
  }
  std::string shape() const {
    return with_model(std::to_string(images) + " x " + std::to_string(side) + " x " + std::to_string(side) + " x " +
                          std::to_string(dim) + ", " + std::to_string(heads) + " heads",
                      model);
  }
};
inline constexpr std::array cascaded_attention = {CascadedAttention{"M0, stage 1", 1, 14, 7, 64, 4, {5, 5, 5, 5}},
                                                  CascadedAttention{"M0, stage 2", 1, 7, 7, 128, 4, {5, 5, 5, 5}},
                                                  CascadedAttention{"M0, stage 3", 1, 4, 4, 192, 4, {5, 5, 5, 5}},
                                                  CascadedAttention{"M1, stage 1", 1, 14, 7, 128, 2, {7, 5, 0, 0}},
                                                  CascadedAttention{"M2, stage 2", 1, 7, 7, 192, 3, {7, 5, 3, 0}},
                                                  CascadedAttention{"M3, stage 3", 1, 4, 4, 320, 4, {5, 5, 5, 5}},
                                                  CascadedAttention{"M4, stage 2", 1, 7, 7, 256, 4, {7, 5, 3, 3}},
                                                  CascadedAttention{"M5, stage 1", 1, 14, 7, 192, 3, {7, 5, 3, 0}},
                                                  CascadedAttention{"M5, stage 2", 1, 7, 7, 288, 3, {7, 5, 3, 0}},
                                                  CascadedAttention{"M5, stage 3", 1, 4, 4, 384, 4, {7, 5, 3, 3}},
                                                  CascadedAttention{"M0, stage 1", 16, 14, 7, 64, 4, {5, 5, 5, 5}}};
inline constexpr std::array trained_cascaded_attention = {
    CascadedAttention{"M0, stage 1", 8, 14, 7, 64, 4, {5, 5, 5, 5}},
    CascadedAttention{"M5, stage 3", 8, 4, 4, 384, 4, {7, 5, 3, 3}}};

/// Rows of features, for what goes element by element or row by row.
struct Rows {
  std::string_view model;
  Index rows, features;
  constexpr std::array<Index, 2> dimensions() const { return {rows, features}; }
  std::string shape() const { return with_model(std::to_string(rows) + " x " + std::to_string(features), model); }
};
inline constexpr std::array rows = {Rows{"", 4096, 768}, Rows{"ViT-B", 197, 768}};
inline constexpr std::array logits = {Rows{"", 1024, 256}, Rows{"Llama 110M", 256, 32000}};

/// The positions of a batch of images and their channels, for what normalises channels: 32 of 56 x 56.
inline constexpr std::array channels = {Rows{"", 32 * 56 * 56, 64}};

/// A batch of images, or of sequences, whose channels are normalised in groups.
struct Images {
  std::string_view model;
  Index batch, positions, channels, groups;
  constexpr std::array<Index, 4> dimensions() const { return {batch, positions, channels, groups}; }
  std::string shape() const {
    return with_model(std::to_string(batch) + " x " + std::to_string(positions) + " x " + std::to_string(channels) +
                          " in " + std::to_string(groups),
                      model);
  }
};
inline constexpr std::array images = {Images{"", 8, 512, 768, 32}, Images{"", 32, 56 * 56, 64, 32}};

/// Tokens looked up in a vocabulary of vectors.
struct Lookup {
  std::string_view model;
  Index tokens, vocabulary, features;
  constexpr std::array<Index, 3> dimensions() const { return {tokens, vocabulary, features}; }
  std::string shape() const {
    return with_model(std::to_string(tokens) + " of " + std::to_string(vocabulary) + " x " + std::to_string(features),
                      model);
  }
};
inline constexpr std::array lookups = {Lookup{"", 4096, 256, 512}, Lookup{"Llama 110M", 4096, 32000, 768}};

/// Heads that rotary positions turn.
struct Heads {
  std::string_view model;
  Index length, heads, head_dim;
  constexpr std::array<Index, 3> dimensions() const { return {length, heads, head_dim}; }
  std::string shape() const {
    return with_model(std::to_string(length) + " tokens, " + std::to_string(heads) + " x " + std::to_string(head_dim),
                      model);
  }
};
inline constexpr std::array rotary = {Heads{"Llama 110M", 512, 12, 64}, Heads{"", 2048, 32, 128},
                                      Heads{"", 1, 32, 128}};

/// A recurrent layer over a batch of sequences.
struct Recurrent {
  Index batch, length, features, hidden;
  constexpr std::array<Index, 4> dimensions() const { return {batch, length, features, hidden}; }
  std::string shape() const {
    return std::to_string(batch) + " x " + std::to_string(length) + ", " + std::to_string(features) + " -> " +
           std::to_string(hidden);
  }
};
inline constexpr std::array recurrent = {Recurrent{32, 64, 256, 256}, Recurrent{1, 256, 256, 256}};

/// A decoder language model with `before` positions in its key/value cache, given `tokens` more.
struct Decoder {
  std::string_view model;
  Index vocabulary, dim, layers, heads, kv_heads, hidden, before, tokens;
  constexpr std::array<Index, 8> dimensions() const {
    return {vocabulary, dim, layers, heads, kv_heads, hidden, before, tokens};
  }
  std::string shape() const { return with_model(std::to_string(tokens) + " after " + std::to_string(before), model); }
};
inline constexpr std::array decoders = {
    Decoder{"Llama 110M", 32000, 768, 12, 12, 12, 2048, 256, 1}, Decoder{"stories260K", 512, 64, 5, 8, 4, 172, 100, 1},
    Decoder{"the demo", 256, 128, 3, 4, 2, 384, 512, 1}, Decoder{"the demo", 256, 128, 3, 4, 2, 384, 16, 1},
    Decoder{"the demo", 256, 128, 3, 4, 2, 384, 0, 16}};

/// A step of training on `batch` sequences of so many tokens.
struct Training : Decoder {
  Index batch;
  std::string shape() const {
    return with_model(std::to_string(batch) + " x " + std::to_string(tokens) + ", " + std::to_string(layers) + " x " +
                          std::to_string(dim),
                      model);
  }
};
inline constexpr std::array training = {Training{{"the demo", 256, 128, 3, 4, 2, 384, 0, 128}, 8},
                                        Training{{"", 256, 512, 4, 8, 8, 1536, 0, 64}, 4}};

inline constexpr Index optimised_parameters = 1 << 20;
inline constexpr Index tensors_opened = 10'000;
inline constexpr Index elements_read = 1 << 22;

}  // namespace bench::grid
