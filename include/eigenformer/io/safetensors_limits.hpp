#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>

#include <cstdint>

namespace eigenformer::inline EIGENFORMER_ABI {

/// How whitespace around the header is judged.
enum class HeaderStyle {
  reference,  ///< any JSON whitespace before `{` and after `}`, as the reference reader accepts it
  strict      ///< `{` comes first, and only spaces pad the end, as the format's text says
};

/// How large a header may be. The defaults are the reference reader's where it has a limit, and ours elsewhere.
struct SafetensorsLimits {
  std::uint64_t header_bytes = 100'000'000;  ///< of the header's text
  std::uint64_t tensors = 1'000'000;         ///< number of them
  std::uint64_t name_bytes = 4096;           ///< of any key, `__metadata__` among them
  int rank = Shape::max_rank;                ///< at most Shape::max_rank
  /// of any extent of a shape
  std::uint64_t dimension = (std::uint64_t{1} << 48U) - 1;
  HeaderStyle style = HeaderStyle::reference;  ///< how whitespace is judged
  std::uint64_t index_bytes = 100'000'000;     ///< of the file that says which shard holds which tensor
  std::uint64_t shards = 10'000;               ///< at most 65,535
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
