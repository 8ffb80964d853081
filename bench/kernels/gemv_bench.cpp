// SPDX-License-Identifier: MIT

#include <kernels/product_bench.hpp>

namespace {

/// One row: rows, depth, columns, weights [columns, depth]
const bool registered = [] {
  product_bench::register_products(
      "gemv", {{1, 4096, 4096, 1}, {1, 4096, 4096, 0}, {1, 512, 512, 1}, {1, 512, 512, 0}, {1, 128, 384, 1}});
  return true;
}();

}  // namespace
