// SPDX-License-Identifier: MIT
// C = A B of square matrices, on every instruction set.

#include <eigenformer/kernels/gemm.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include "support/tolerances.hpp"

namespace {

using namespace bench;
namespace kernels = ef::kernels;

class Product {
 public:
  explicit Product(const grid::Product& size)
      : a_(random_matrix(size.rows, size.depth, 1)),
        b_(random_matrix(size.depth, size.columns, 2)),
        c_(size.rows, size.columns) {}

  void multiply(ef::Context& context) {
    kernels::gemm<float>({.rows = a_.rows(),
                          .columns = b_.cols(),
                          .depth = a_.cols(),
                          .a = kernels::plain(a_.data(), a_.cols()),
                          .b = kernels::plain(b_.data(), b_.cols()),
                          .c = c_.data(),
                          .c_stride = c_.cols()},
                         context);
  }
  void multiply_by_eigen() { c_.noalias() = a_ * b_; }

  /// gemm_c of |a| |b|, which is at least the sum of |a_i b_i|.
  Error error() const {
    const Exact& exact = exact_([this]() -> Exact {
      const Doubles bound = a_.cast<double>().rowwise().norm() * b_.cast<double>().colwise().norm();
      return {a_.cast<double>() * b_.cast<double>(), support::tolerance::gemm_c * epsilon * bound};
    });
    return compare(c_, exact.numbers, exact.tolerance);
  }

 private:
  ef::Matrix<float> a_, b_, c_;
  Once<Exact> exact_;
};

const bool planned = [] {
  for (const grid::Product& size : grid::products) {
    const auto [rows, depth, columns] = size.dimensions();
    Entry<Product>(
        {.name = "product",
         .shape = size.shape(),
         .cost = {2.0 * double(rows * depth) * double(columns), bytes((rows + columns) * depth), bytes(rows * columns)},
         .dimensions = {rows, depth, columns}},
        size)
        .ours(&Product::multiply, rows < 512 ? every_set() : every_set(one_and_two_threads()))
        .eigen(&Product::multiply_by_eigen);
  }
  return true;
}();

}  // namespace
