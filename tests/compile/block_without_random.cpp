// expect-error: no matching function for call to '.*Linear<float>::Linear\(|no matching constructor for initialization of 'ef::Linear<float>'
// SPDX-License-Identifier: MIT
// What starts from random numbers is given a generator; there is no hidden one.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;

ef::Linear<float> call() {
#if defined(POSITIVE)
  return ef::Linear<float>({.in_features = 2, .out_features = 3}, ef::Random(42));
#else
  return ef::Linear<float>({.in_features = 2, .out_features = 3});
#endif
}
