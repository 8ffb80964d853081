#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/core/tensor.hpp>

#include <cstdint>
#include <span>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Ternary codes as HuggingFace's BitNet checkpoints hold them: two bits each, code + 1, of which the byte [i, k] has those
/// of rows i, i + R, i + 2R, i + 3R from its low bits up, R = out / 4 rounded up.   bytes: [R, in]    result: [out, in]
///   throws ShapeError for another number of bytes, ValueError for the bits of no code
template <class = void>  // so that only who uses it compiles it
Matrix<std::int8_t> unpack_huggingface_ternary(std::span<const std::uint8_t> bytes, Index out, Index in) {
  require_positive(out, "unpack_huggingface_ternary", "out");
  require_positive(in, "unpack_huggingface_ternary", "in");
  const Index rows = (out + 3) / 4;
  require(static_cast<Index>(bytes.size()) == rows * in, "unpack_huggingface_ternary", "expected ", rows * in,
          " bytes for ", out, " x ", in, " codes, got ", bytes.size());
  Matrix<std::int8_t> codes(out, in);
  for (Index o = 0; o < out; ++o) {
    for (Index k = 0; k < in; ++k) {
      const int code = (bytes[static_cast<std::size_t>(o % rows * in + k)] >> (2 * (o / rows)) & 3) - 1;
      require<ValueError>(code <= 1, "unpack_huggingface_ternary", "expected bits 0 .. 2, got 3 for row ", o,
                          ", column ", k);
      codes(o, k) = static_cast<std::int8_t>(code);
    }
  }
  return codes;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
