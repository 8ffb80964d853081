// expect-error: no matching function for call to '.*LayerNorm<float>::LayerNorm\(|no matching constructor for initialization of 'ef::LayerNorm<float>'
// SPDX-License-Identifier: MIT
// Options are named as the block names them.
#include <eigenformer/norm/layer_norm.hpp>

namespace ef = eigenformer;

ef::LayerNorm<float> call() {
#if defined(POSITIVE)
  return ef::LayerNorm<float>({.dim = 3});
#else
  return ef::LayerNorm<float>({.in_features = 3});
#endif
}
