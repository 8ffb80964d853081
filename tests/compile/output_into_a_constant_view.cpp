// expect-error: no matching function for call to .*const View&|no matching member function
// SPDX-License-Identifier: MIT
// A view to read is not a view to write.
#include <eigenformer/attention/grouped_query_attention.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using View = ef::TensorView<float, 3>;
#else
using View = ef::ConstTensorView<float, 3>;
#endif

void call(const ef::GroupedQueryAttention<float>& attention, const ef::Tensor<float, 3>& x, const View& y,
          ef::Context& context) {
  attention.forward(x, y, ef::Causal{}, context);
}
