// expect-error: FeedForward: the second argument is an activation, such as Relu
// SPDX-License-Identifier: MIT
// An activation is one of the types that the kernels know.
#include <eigenformer/block/feed_forward.hpp>

namespace ef = eigenformer;

struct Cubic {};
#if defined(POSITIVE)
using Activate = ef::Relu;
#else
using Activate = Cubic;
#endif

ef::Matrix<float> call(const ef::FeedForward<float, Activate>& block, const ef::Matrix<float>& x) { return block(x); }
