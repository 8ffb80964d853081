// expect-error: forward takes no such arguments. x is of the block's scalar type
// SPDX-License-Identifier: MIT
// A block of float takes no double: nothing is converted behind the caller's back.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;
#if defined(POSITIVE)
using Scalar = float;
#else
using Scalar = double;
#endif

ef::Tensor<Scalar, 3> call(const ef::Linear<float>& linear, const ef::Tensor<Scalar, 3>& x) { return linear(x); }
