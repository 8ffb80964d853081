// expect-error: cannot convert '.*Matrix<float>' .*RowsView<float>'|no viable conversion
// SPDX-License-Identifier: MIT
// What is written into a temporary is lost at the end of the line.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;

void call(const ef::Linear<float>& linear, const ef::Matrix<float>& x, ef::Context& context) {
#if defined(POSITIVE)
  ef::Matrix<float> y(x.rows(), 7);
  linear.forward(x, y, context);
#else
  linear.forward(x, ef::Matrix<float>(x.rows(), 7), context);
#endif
}
