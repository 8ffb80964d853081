#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>

#include <algorithm>
#include <cstdint>
#include <span>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Weights -1 and 1, packed with one bit each: w = 2 bit - 1.
struct Binary {
  static constexpr Index planes = 1;       ///< bits of a weight
  static constexpr int factor = 2;         ///< w = factor (sum of its bits) - 1
  static constexpr int smallest_step = 2;  ///< between codes
};

/// Weights -1, 0 and 1, packed with two bits each: w = first bit + second bit - 1. A ternary product is two binary ones
/// that look up in the same tables. 1.6 bits (five weights in a byte) would have to be taken apart before they could be
/// looked up, and where weights come from a cache, products wait for arithmetic and not for bytes.
struct Ternary {
  static constexpr Index planes = 2;       ///< bits of a weight
  static constexpr int factor = 1;         ///< w = factor (sum of its bits) - 1
  static constexpr int smallest_step = 1;  ///< between codes
};

// How bits lie, the same for every machine. Outputs come in blocks of 64; the last block has those that are left, rounded
// up to 16. A block holds, for each eight inputs in turn and each plane, one byte for each of its outputs, whose bit i is
// that of the i-th of the eight inputs. What is rounded up is zero bits. At the end are 64 zero bytes, so that whole
// registers can be read.

inline constexpr Index bit_block = 64;        ///< outputs of a block
inline constexpr Index bit_block_grain = 16;  ///< the last block's outputs are a multiple of it
inline constexpr Index bit_byte = 8;          ///< inputs of a byte
/// With more inputs a sum of 8-bit numbers may leave the range of 32 bits.
inline constexpr Index most_bit_inputs = ((Index(1) << 31) - 1) / 128;

/// A packed matrix [out_features, in_features], in memory of the caller.
template <class Weights>
struct BitMatrix {
  const std::uint8_t* data;
  Index out_features;
  Index in_features;

  /// Blocks of outputs.
  Index blocks() const { return (out_features + bit_block - 1) / bit_block; }
  /// Outputs that block b has room for.
  Index room(Index b) const {
    const Index left = out_features - b * bit_block;
    return (std::min)(bit_block, (left + bit_block_grain - 1) / bit_block_grain * bit_block_grain);
  }
  /// Bytes in which the bits of one output and plane lie.
  Index bytes_of_inputs() const { return (in_features + bit_byte - 1) / bit_byte; }
  /// Where block b begins.
  const std::uint8_t* block(Index b) const { return data + b * bit_block * Weights::planes * bytes_of_inputs(); }
};

/// Bytes of the packed form of a matrix [out_features, in_features].
///   throws OptionError for features below 1 and for more inputs than most_bit_inputs
template <class Weights>
Index bit_matrix_size(Index out_features, Index in_features) {
  require_positive(out_features, "bit_matrix_size", "out_features");
  require_positive(in_features, "bit_matrix_size", "in_features");
  require<OptionError>(in_features <= most_bit_inputs, "bit_matrix_size", "expected in_features of at most ",
                       most_bit_inputs, ", beyond which sums leave 32 bits, got ", in_features);
  const BitMatrix<Weights> matrix = {nullptr, out_features, in_features};
  const Index outputs = (matrix.blocks() - 1) * bit_block + matrix.room(matrix.blocks() - 1);
  return outputs * Weights::planes * matrix.bytes_of_inputs() + bit_block;
}

/// Packs weights.   codes: [out_features, in_features], rows `stride` apart    packed: bit_matrix_size<Weights>(...) bytes
///   throws ValueError, and writes nothing, if a code is none of Weights
template <class Weights>
void pack_bits(const std::int8_t* codes, Index stride, Index out_features, Index in_features,
               std::span<std::uint8_t> packed) {
  require(static_cast<Index>(packed.size()) == bit_matrix_size<Weights>(out_features, in_features), "pack_bits",
          "expected ", bit_matrix_size<Weights>(out_features, in_features), " bytes, got ", packed.size());
  for (Index n = 0; n < out_features; ++n) {
    for (Index k = 0; k < in_features; ++k) {
      const std::int8_t code = codes[n * stride + k];
      require<ValueError>(code >= -1 && code <= 1 && (code + 1) % Weights::smallest_step == 0, "pack_bits",
                          "expected codes ", Weights::planes == 1 ? "-1 and 1" : "-1, 0 and 1", ", got ", int{code},
                          " for output ", n, ", input ", k);
    }
  }
  std::fill(packed.begin(), packed.end(), std::uint8_t{0});
  const BitMatrix<Weights> matrix = {packed.data(), out_features, in_features};
  for (Index n = 0; n < out_features; ++n) {
    const Index block = n / bit_block, room = matrix.room(block);
    std::uint8_t* const to = packed.data() + (matrix.block(block) - matrix.data) + n % bit_block;
    for (Index k = 0; k < in_features; ++k) {
      const int bits = (codes[n * stride + k] + 1) / Weights::smallest_step;  // that are set
      for (Index plane = 0; plane < Weights::planes; ++plane) {
        if (bits > plane) {
          std::uint8_t& byte = to[(k / bit_byte * Weights::planes + plane) * room];
          byte = static_cast<std::uint8_t>(byte | 1U << (k % bit_byte));
        }
      }
    }
  }
}

/// The codes of a packed matrix, rows `stride` apart.
template <class Weights>
void unpack_bits(const BitMatrix<Weights>& matrix, std::int8_t* codes, Index stride) {
  for (Index n = 0; n < matrix.out_features; ++n) {
    const Index block = n / bit_block, room = matrix.room(block);
    const std::uint8_t* const from = matrix.block(block) + n % bit_block;
    for (Index k = 0; k < matrix.in_features; ++k) {
      int bits = 0;
      for (Index plane = 0; plane < Weights::planes; ++plane) {
        bits += from[(k / bit_byte * Weights::planes + plane) * room] >> (k % bit_byte) & 1;
      }
      codes[n * stride + k] = static_cast<std::int8_t>(Weights::factor * bits - 1);
    }
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
