// SPDX-License-Identifier: MIT
// Gives one block to each unit and holds what comes back against what this unit makes of it.

#include <cmath>
#include <cstdio>

#include "abi/flags_program.hpp"

namespace {

int differences(const char* unit, const Step& step, const Block& block, const ef::Matrix<float>& x) {
  ef::Context context;
  const ef::Matrix<float> y = block(x, context);
  ef::Matrix<float> dx(x.rows(), x.cols());
  Block own = block;
  Block::Cache cache = step.cache;  // the other unit's
  own.backward(y, cache, dx, context);
  // Compilers contract products and sums or do not, so the units agree to rounding.
  const float limit = 64 * std::numeric_limits<float>::epsilon();
  const auto far = [limit](const auto& a, const auto& b) { return !((a - b).norm() <= limit * b.norm()); };
  const bool wrong =
      far(step.y, y) || far(step.dx, dx) || far(step.block.up.weight.gradient, own.up.weight.gradient) ||
      step.error.what() != std::string("FeedForward: expected last dimension 31, got x of shape [3, 32]");
  if (wrong) std::printf("%s: another result; %s\n", unit, step.error.what());
  return wrong ? 1 : 0;
}

}  // namespace

int main() {
  const Block block({.dim = 31, .hidden = 59}, ef::Random(42));
  ef::Matrix<float> x(11, 31);
  for (ef::Index i = 0; i < x.size(); ++i) x.data()[i] = std::sin(static_cast<float>(i));
  int wrong = 0;
  int units = 0;
#define X(name)                                          \
  wrong += differences(#name, name(block, x), block, x); \
  ++units;
  UNITS
#undef X
  std::printf("%d units, %d of them differ\n", units, wrong);
  return wrong;
}
