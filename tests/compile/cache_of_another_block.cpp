// expect-error: cannot convert .*NormCache<float>|cannot initialize a parameter of type .*Cache
// SPDX-License-Identifier: MIT
// What one block kept means nothing to another.
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/layer_norm.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Cache = ef::Linear<float>::Cache;
#else
using Cache = ef::LayerNorm<float>::Cache;
#endif

void call(const ef::Linear<float>& linear, const ef::Matrix<float>& x, ef::Matrix<float>& y, ef::Context& context,
          Cache& cache) {
  linear.forward(x, y, context, &cache);
}
