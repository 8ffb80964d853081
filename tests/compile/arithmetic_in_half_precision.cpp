// expect-error: the weight is stored as T, Bfloat16 or Float16
// SPDX-License-Identifier: MIT
// Half precision is for storage; blocks compute in float or double.
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;
#if defined(POSITIVE)
using Part = ef::Linear<float, ef::Bfloat16>;
#else
using Part = ef::Linear<ef::Bfloat16>;
#endif

ef::Index call(const Part& linear) { return linear.output_features(); }
