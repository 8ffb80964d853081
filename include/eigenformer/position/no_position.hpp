#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/core/heads.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Leaves queries and keys as they are: attention whose positions come from elsewhere, or from nowhere (Kazemnejad et
/// al. 2023, "The Impact of Positional Encoding on Length Generalization in Transformers").
struct NoPosition {
  struct Cache {};

  template <class T>
  void apply(const HeadsView<T>&, Index, Context&) const {}
  template <class T>
  void apply_backward(const HeadsView<T>&, Index, Context&) const {}
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
