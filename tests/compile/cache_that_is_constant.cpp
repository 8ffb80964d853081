// expect-error: invalid conversion from .*const .*Cache|cannot initialize a parameter of type .*Cache .*const
// SPDX-License-Identifier: MIT
// Forward writes the cache that it is given.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Cache = ef::Linear<float>::Cache;
#else
using Cache = const ef::Linear<float>::Cache;
#endif

void call(const ef::Linear<float>& linear, const ef::Matrix<float>& x, ef::Matrix<float>& y, ef::Context& context,
          Cache& cache) {
  linear.forward(x, y, context, &cache);
}
