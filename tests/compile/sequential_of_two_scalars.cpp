// expect-error: Sequential: every part is of one scalar type
// SPDX-License-Identifier: MIT
// Blocks one after the other hand on numbers of one type.
#include <eigenformer/block/sequential.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/layer_norm.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Scalar = float;
#else
using Scalar = double;
#endif

auto call(const ef::LayerNorm<float>& norm, const ef::Linear<Scalar>& linear) { return ef::Sequential(norm, linear); }
