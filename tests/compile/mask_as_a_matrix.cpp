// expect-error: AttentionMask
// SPDX-License-Identifier: MIT
// A mask says by its type which keys are live; a matrix of truth values would have to be read for each score.
#include <eigenformer/attention/grouped_query_attention.hpp>

namespace ef = eigenformer;

void call(const ef::GroupedQueryAttention<float>& attention, const ef::Tensor<float, 3>& x, ef::Tensor<float, 3>& y,
          ef::Context& context) {
#if defined(POSITIVE)
  const ef::NoMask mask;
#else
  const ef::Matrix<bool> mask = ef::Matrix<bool>::Ones(x.dimension(1), x.dimension(1));
#endif
  attention.forward(x, y, mask, context);
}
