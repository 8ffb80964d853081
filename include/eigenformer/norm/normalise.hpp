#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/buffer.hpp>
#include <eigenformer/core/parameter.hpp>
#include <eigenformer/kernels/norm.hpp>
#include <eigenformer/ops/traversal.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What the norms of this room keep for backward: the rows before weight and bias, and what they were divided by. z and
/// not x is kept, as x of a large mean would have to be centred again with more digits than its mean has.
///   normalised: [N, D]    inverse: [N], 1 / deviation
template <class T>
struct NormCache {
  Buffer<T> normalised;  ///< [N, D], rows before gain and bias
  Buffer<T> inverse;     ///< [N], one over each row's deviation or root mean square
};

namespace detail {

/// Runs the forward kernel over blocks of rows. Without a cache, 1 / deviation goes to scratch memory and z nowhere. A z
/// too large for the processor's cache is written past it, as what follows in a model would drive it out before backward.
template <class Statistics, class T>
void normalise(ConstRowsView<T> x, const T* weight, const T* bias, double epsilon, RowsView<T> y, Context& context,
               NormCache<T>* cache) {
  ScratchScope scope(context.scratch());
  T* const normalised = cache ? cache->normalised.resize(x.rows() * x.features()) : nullptr;
  T* const inverse = cache ? cache->inverse.resize(x.rows()) : scope.take<T>(x.rows());
  for_each_row_block(x.rows(), x.features(), 8, context, [&](Index first, Index count) {
    kernels::normalise<Statistics>(
        kernels::NormRows<T>{.x = at(x, first),
                             .x_stride = x.stride(),
                             .y = at(y, first),
                             .y_stride = y.stride(),
                             .weight = weight,
                             .bias = bias,
                             .normalised = cache ? normalised + first * x.features() : nullptr,
                             .inverse = inverse + first,
                             .rows = count,
                             .features = x.features(),
                             .epsilon = epsilon,
                             .home = home_of<T>(x.rows() * x.features())},
        context.instruction_set());
  });
}

/// Runs the backward kernel. The gradients of weight and bias are summed within blocks of rows first, then over the
/// blocks in their order; there are at most 64, wherever the threads are. A null gradient costs nothing.
template <class Statistics, class T>
void normalise_backward(ConstRowsView<T> dy, const NormCache<T>& cache, const T* weight, RowsView<T> dx, T* dweight,
                        T* dbias, Context& context) {
  const Index features = dy.features();
  const Index rows = dy.rows();
  if (rows == 0) return;
  constexpr Index most_blocks = 64;
  const Index block =
      (std::max)((rows + most_blocks - 1) / most_blocks, (std::max)(Index(1), task_elements / features));
  const Index blocks = (rows + block - 1) / block;
  ScratchScope scope(context.scratch());
  T* const weight_parts = dweight ? scope.take<T>(blocks * features) : nullptr;
  T* const bias_parts = dbias ? scope.take<T>(blocks * features) : nullptr;
  context.parallel_for(blocks, 12.0 * static_cast<double>(rows * features), [&](Index i) {
    const Index first = i * block;
    if (dweight) std::fill_n(weight_parts + i * features, features, T(0));
    if (dbias) std::fill_n(bias_parts + i * features, features, T(0));
    kernels::normalise_backward<Statistics>(
        kernels::NormBackwardRows<T>{.dy = at(dy, first),
                                     .dy_stride = dy.stride(),
                                     .normalised = cache.normalised.data() + first * features,
                                     .inverse = cache.inverse.data() + first,
                                     .weight = weight,
                                     .dx = at(dx, first),
                                     .dx_stride = dx.stride(),
                                     .dweight = dweight ? weight_parts + i * features : nullptr,
                                     .dbias = dbias ? bias_parts + i * features : nullptr,
                                     .rows = (std::min)(block, rows - first),
                                     .features = features,
                                     .home = home_of<T>(rows * features)},
        context.instruction_set());
  });
  if (dweight) kernels::add_rows(weight_parts, blocks, features, dweight, context.instruction_set());
  if (dbias) kernels::add_rows(bias_parts, blocks, features, dbias, context.instruction_set());
}

/// Throws ShapeError unless dy and dx have the weight's width and the rows of the forward that filled the cache.
template <class T>
void require_backward(ConstRowsView<T> dy, const NormCache<T>& cache, std::span<const T> weight, RowsView<T> dx,
                      std::string_view block) {
  const Index dim = static_cast<Index>(weight.size());
  require_rows(dy, dim, dx, dim, block, "dy", "dx");
  require(cache.inverse.size() == dy.rows() && cache.normalised.size() == dy.rows() * dim, block,
          "expected dy with the ", cache.inverse.size(), " rows of the cached forward, got shape ", dy.shape());
}

/// Throws ShapeError unless the gradient is empty or fits the weight.
template <class T>
void require_gradient(std::span<T> gradient, std::span<const T> weight, std::string_view block, std::string_view what) {
  require(gradient.empty() || gradient.size() == weight.size(), block, "expected ", what, " of shape [", weight.size(),
          "], got [", gradient.size(), "]");
}

/// Throws OptionError unless epsilon is a finite number that is not negative.
inline void require_epsilon(double epsilon, std::string_view block) {
  require<OptionError>(kernels::is_finite(epsilon) && epsilon >= 0, block,
                       "expected epsilon that is finite and not negative, got ", epsilon);
}

/// The gradient to add to, or nothing if the parameter is frozen.
template <class T>
std::span<T> wanted_gradient(Parameter<T>& parameter) {
  if (!parameter.trainable) return {};
  parameter.accumulated_gradient();
  return parameter.gradients();
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
