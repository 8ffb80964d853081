// expect-error: a const model cannot be filled
// SPDX-License-Identifier: MIT
// Loading changes a model.
#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/linear/linear.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Model = ef::Linear<float>;
#else
using Model = const ef::Linear<float>;
#endif

void call(Model& model) { ef::load_safetensors("model.safetensors", model); }
