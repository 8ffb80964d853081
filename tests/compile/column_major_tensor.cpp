// expect-error: x is not what this block reads, a row-major tensor or matrix
// SPDX-License-Identifier: MIT
// Eigen's tensors are column-major unless told otherwise; ours are row-major.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Features = ef::Tensor<float, 3>;
#else
using Features = Eigen::Tensor<float, 3>;
#endif

auto call(const ef::Linear<float>& linear, const Features& x) { return linear(x); }
