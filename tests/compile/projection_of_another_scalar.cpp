// expect-error: FeedForward: the third argument is a projection, such as Linear<T>
// SPDX-License-Identifier: MIT
// Feed-forward of float multiplies by projections of float.
#include <eigenformer/block/feed_forward.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Part = ef::Linear<float>;
#else
using Part = ef::Linear<double>;
#endif

ef::Index call(const ef::FeedForward<float, ef::Relu, Part>& block) { return block.output_features(); }
