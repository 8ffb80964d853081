// expect-error: forward takes no such arguments.* evaluated .a . b is not
// SPDX-License-Identifier: MIT
// A sum of matrices is not yet a matrix, and has no memory that a view could see.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;

auto call(const ef::Linear<float>& linear, const ef::Matrix<float>& a, const ef::Matrix<float>& b) {
#if defined(POSITIVE)
  return linear((a + b).eval());
#else
  return linear(a + b);
#endif
}
