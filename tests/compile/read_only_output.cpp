// expect-error: cannot convert|no viable conversion
// SPDX-License-Identifier: MIT
// What is const cannot be written through a view.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;
#if defined(POSITIVE)
using Output = ef::Matrix<float>;
#else
using Output = const ef::Matrix<float>;
#endif

void call(const ef::Linear<float>& linear, const ef::Matrix<float>& x, Output& y, ef::Context& context) {
  linear.forward(x, y, context);
}
