// expect-error: no matching function for call to .*Linear<float>::forward\(|no matching member function|too few arguments
// SPDX-License-Identifier: MIT
// Forward takes threads and scratch memory from a Context that is passed, never from one that is global.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;

void call(const ef::Linear<float>& linear, const ef::Matrix<float>& x, ef::Matrix<float>& y, ef::Context& context) {
#if defined(POSITIVE)
  linear.forward(x, y, context);
#else
  linear.forward(x, y);
  static_cast<void>(context);
#endif
}
