// expect-error: discards qualifiers|not marked const
// SPDX-License-Identifier: MIT
// Forward leaves a block as it is; backward adds to its gradients, so a const block has none.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;
#if defined(POSITIVE)
using Block = ef::Linear<float>;
#else
using Block = const ef::Linear<float>;
#endif

void call(Block& linear, const ef::Matrix<float>& dy, const ef::Linear<float>::Cache& cache, ef::Matrix<float>& dx,
          ef::Context& context) {
  linear.backward(dy, cache, dx, context);
}
