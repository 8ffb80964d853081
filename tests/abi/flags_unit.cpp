// SPDX-License-Identifier: MIT
// One of the units of a program that share objects of the library although each is built with other flags, none of which
// may change a layout or a meaning. UNIT names it.

#include "abi/flags_program.hpp"

Step UNIT(const Block& given, const ef::Matrix<float>& x) {
  Block block = given;
  ef::Context context;
  Block::Cache cache;
  ef::Matrix<float> y(x.rows(), block.output_features());
  ef::Matrix<float> dx(x.rows(), x.cols());
  block.forward(x, y, context, &cache);
  block.backward(y, cache, dx, context);
  try {
    block(ef::Matrix<float>(3, x.cols() + 1));
  } catch (const ef::ShapeError& error) {
    return {block, cache, y, dx, error};
  }
  throw ef::Error("a matrix that is too wide was taken");
}
