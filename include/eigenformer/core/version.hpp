#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The version, written here and nowhere else: CMake reads these lines, and a test holds them against the name of the
/// inline namespace, which carries major and minor because layouts may change between them.
inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;  ///< layouts may change with it
inline constexpr int version_patch = 0;  ///< layouts do not change with it

}  // namespace eigenformer::inline EIGENFORMER_ABI
