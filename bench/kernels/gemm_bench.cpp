// SPDX-License-Identifier: MIT

#include <kernels/product_bench.hpp>

namespace {

/// rows, depth, columns, weights [columns, depth]
const bool registered = [] {
  product_bench::register_products("gemm", {{1024, 1024, 1024, 0},
                                            {1024, 1024, 1024, 1},
                                            {128, 768, 3072, 1},
                                            {128, 768, 3072, 0},
                                            {8, 4096, 4096, 1},
                                            {8, 4096, 4096, 0},
                                            {64, 64, 64, 0},
                                            {64, 64, 64, 1},
                                            {16, 128, 384, 1},
                                            {16, 128, 384, 0}});
  return true;
}();

}  // namespace
