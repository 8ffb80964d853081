// expect-error: forward takes no such arguments; x is of the block's scalar type
// SPDX-License-Identifier: MIT
// Features are real numbers.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Scalar = float;
#else
using Scalar = int;
#endif

auto call(const ef::Linear<float>& linear, const ef::Tensor<Scalar, 3>& x) { return linear(x); }
