// expect-error: Sequential: every part is a block
// SPDX-License-Identifier: MIT
// An activation is a type that blocks are made with, not a block.
#include <eigenformer/block/sequential.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/ops/activation.hpp>

namespace ef = eigenformer;

auto call(const ef::Linear<float>& linear) {
#if defined(POSITIVE)
  return ef::Sequential(linear, linear);
#else
  return ef::Sequential(linear, ef::Relu{});
#endif
}
