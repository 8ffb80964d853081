#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/parts.hpp>
#include <eigenformer/block/residual.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// y = norm(x + f(x)): the norm behind the residual sum of a branch f (Vaswani et al. 2017, section 3.1).
///   x, y, dy, dx: [batch, length, D]; y may be x, and dx may be dy
struct NormAfter {
  /// `branch(from, to)` is f.
  template <class T, class Norm>
  static void forward(const Norm& norm, ConstTensorView<T, 3> x, TensorView<T, 3> y, Context& context,
                      typename Norm::Cache* cache, const auto& branch) {
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> f = detail::scratch_like<T>(scope, x);
    branch(x, f);
    residual<T>(x, f, y, context);
    norm.forward(y, y, context, cache);
  }
  /// `branch(from, to)` takes a gradient back through f.
  template <class T, class Norm>
  static void backward(Norm& norm, ConstTensorView<T, 3> dy, TensorView<T, 3> dx, Context& context,
                       const typename Norm::Cache& cache, const auto& branch) {
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> dsum = detail::scratch_like<T>(scope, dy);
    norm.backward(dy, cache, dsum, context);
    branch(dsum, dx);
    residual<T>(dsum, dx, dx, context);
  }
};

/// y = x + f(norm(x)): the norm before a branch f (Xiong et al. 2020, "On Layer Normalization in the Transformer
/// Architecture"). Shapes are those of NormAfter.
struct NormBefore {
  /// `branch(from, to)` is f.
  template <class T, class Norm>
  static void forward(const Norm& norm, ConstTensorView<T, 3> x, TensorView<T, 3> y, Context& context,
                      typename Norm::Cache* cache, const auto& branch) {
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> normed = detail::scratch_like<T>(scope, x);
    const TensorView<T, 3> f = detail::scratch_like<T>(scope, x);
    norm.forward(x, normed, context, cache);
    branch(normed, f);
    residual<T>(x, f, y, context);
  }
  /// `branch(from, to)` takes a gradient back through f.
  template <class T, class Norm>
  static void backward(Norm& norm, ConstTensorView<T, 3> dy, TensorView<T, 3> dx, Context& context,
                       const typename Norm::Cache& cache, const auto& branch) {
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> dnormed = detail::scratch_like<T>(scope, dy);
    branch(dy, dnormed);
    norm.backward(dnormed, cache, dnormed, context);
    residual<T>(dy, dnormed, dx, context);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
