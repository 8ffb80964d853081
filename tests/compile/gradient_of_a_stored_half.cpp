// expect-error: no member named .accumulated_gradient
// SPDX-License-Identifier: MIT
// A weight stored in half precision is never trained: it has no gradient to add to.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;
#if defined(POSITIVE)
using Storage = float;
#else
using Storage = ef::Bfloat16;
#endif

void call(ef::Linear<float, Storage>& linear) { linear.weight.accumulated_gradient().setZero(); }
