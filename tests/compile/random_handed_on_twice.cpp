// expect-error: rvalue reference|no matching constructor
// SPDX-License-Identifier: MIT
// Two blocks made from the same random numbers by mistake would start from the same weights.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;

ef::Linear<float> call(ef::Random& random) {
#if defined(POSITIVE)
  return ef::Linear<float>({.in_features = 2, .out_features = 3}, random.split());
#else
  return ef::Linear<float>({.in_features = 2, .out_features = 3}, random);
#endif
}
