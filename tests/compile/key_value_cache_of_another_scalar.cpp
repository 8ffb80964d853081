// expect-error: no known conversion.*KeyValueCache<double>|no known conversion from 'ef::KeyValueCache<Scalar>'|cannot convert '.*KeyValueCache<double>|KeyValueCache<double>
// SPDX-License-Identifier: MIT
// Keys of double do not serve queries of float.
#include <eigenformer/attention/grouped_query_attention.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Scalar = float;
#else
using Scalar = double;
#endif

void call(const ef::GroupedQueryAttention<float>& attention, const ef::Tensor<float, 3>& x, ef::Tensor<float, 3>& y,
          ef::KeyValueCache<Scalar>& key_values, ef::Context& context) {
  attention.forward(x, y, ef::Causal{}, key_values, context);
}
