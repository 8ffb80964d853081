// expect-error: the optimiser and the model have different scalars
// SPDX-License-Identifier: MIT
// An optimiser of double does not step a model of float.
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/train/adamw.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Scalar = float;
#else
using Scalar = double;
#endif

void call(ef::AdamW<Scalar>& optimizer, ef::Linear<float>& model) { optimizer.step(model); }
