// expect-error: the projection maps rows of features, as Linear<T> does
// SPDX-License-Identifier: MIT
// What cannot stand in for Linear is refused by name.
#include <eigenformer/attention/grouped_query_attention.hpp>

namespace ef = eigenformer;

struct NoProjection {
  struct Cache {};
};
#if defined(POSITIVE)
using Part = ef::Linear<float>;
#else
using Part = NoProjection;
#endif

ef::Index call(const ef::GroupedQueryAttention<float, Part>& attention) { return attention.output_features(); }
