#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/gemm.hpp>

#include <reference/gemm.hpp>
#include <support/alignment.hpp>
#include <support/compare.hpp>
#include <support/inputs.hpp>
#include <support/tolerances.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <ostream>
#include <type_traits>
#include <vector>

/// Products of the kernels beside the reference's: what the tests of gemm and gemv share.
namespace product_case {

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
using ef::Index;

/// How an operand lies in memory: row-major, transposed, or with neither index contiguous.
enum class Layout { rows, columns, scattered };

struct Case {
  Index rows, columns, depth;
  Layout a = Layout::rows;
  Layout b = Layout::columns;
  kernels::Destination destination = kernels::Destination::overwrite;
  bool with_bias = false;

  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << "[" << c.rows << ", " << c.depth << "] x [" << c.depth << ", " << c.columns << "], layouts "
               << int(c.a) << " " << int(c.b) << (c.destination == kernels::Destination::accumulate ? ", adds" : "")
               << (c.with_bias ? ", bias" : "");
  }
};

/// The memory of one operand, with gaps of NaN between its rows and around it.
template <class T>
class Matrix {
 public:
  Matrix(Index rows, Index columns, Layout layout, Index offset)
      : step_(layout == Layout::scattered ? 2 : 1),
        flipped_(layout == Layout::columns),
        memory_(flipped_ ? columns : rows, (flipped_ ? rows : columns) * step_, (flipped_ ? rows : columns) * step_ + 3,
                offset) {}

  T& operator()(Index i, Index j) { return flipped_ ? memory_(j, i) : memory_(i, j * step_); }
  kernels::Operand<T> operand() const {
    if (flipped_) return kernels::transposed<T>(memory_.data(), memory_.row_stride());
    return {memory_.data(), memory_.row_stride(), step_};
  }

 private:
  Index step_;
  bool flipped_;
  support::GuardedRows<T> memory_;
};

/// Numbers for one case, the product that the kernels make of them, and the reference's. B is stored as Stored, and a
/// trial with the same B in T is `widened()`.
template <class T, class Stored = T>
class Trial {
 public:
  using Wide = std::conditional_t<std::is_same_v<T, float>, double, long double>;

  Trial(const Case& chosen, support::Generator& random, support::Distribution a = support::Distribution::normal,
        support::Distribution b = support::Distribution::normal)
      : case_(chosen),
        a_(support::sample<T>(a, case_.rows * case_.depth, random)),
        b_(stored(support::sample<T>(b, case_.depth * case_.columns, random))),
        c_(support::sample<T>(a, case_.rows * case_.columns, random)),
        bias_(support::sample<T>(a, case_.columns, random)) {}

  /// The same numbers with B in T, which holds them exactly.
  Trial<T> widened() const {
    std::vector<T> b;
    for (const Stored x : b_) b.push_back(ef::widened<T>(x));
    return {case_, a_, b, c_, bias_};
  }

  /// Result of the kernel, [rows, columns] without gaps. Expects that nothing beside it was written.
  std::vector<T> multiply(ef::Context& context, Index offset = 0) const {
    return multiply(context, offset, [](const auto& product, ef::Context& with, const auto& epilogue) {
      kernels::gemm(product, with, epilogue);
    });
  }
  template <class Kernel>
  std::vector<T> multiply(ef::Context& context, Index offset, const Kernel& kernel) const {
    Matrix<T> a(case_.rows, case_.depth, case_.a, offset);
    Matrix<Stored> b(case_.depth, case_.columns, case_.b, offset + 1);
    support::GuardedRows<T> c(case_.rows, case_.columns, case_.columns + 5, offset);
    support::GuardedBuffer<T> bias(case_.columns, offset + 2);
    for (Index i = 0; i < case_.rows * case_.depth; ++i) a(i / case_.depth, i % case_.depth) = a_[std::size_t(i)];
    for (Index i = 0; i < case_.depth * case_.columns; ++i)
      b(i / case_.columns, i % case_.columns) = b_[std::size_t(i)];
    for (Index i = 0; i < case_.columns; ++i) bias[i] = bias_[std::size_t(i)];
    if (case_.destination == kernels::Destination::accumulate) {
      for (Index i = 0; i < case_.rows * case_.columns; ++i)
        c(i / case_.columns, i % case_.columns) = c_[std::size_t(i)];
    }
    const kernels::Product<T, Stored> product = {.rows = case_.rows,
                                                 .columns = case_.columns,
                                                 .depth = case_.depth,
                                                 .a = a.operand(),
                                                 .b = b.operand(),
                                                 .c = c.data(),
                                                 .c_stride = c.row_stride(),
                                                 .destination = case_.destination};
    kernel(product, context, kernels::AddBias<T>{case_.with_bias ? bias.data() : nullptr});
    EXPECT_TRUE(c.untouched_outside()) << case_;
    std::vector<T> result;
    for (Index i = 0; i < case_.rows * case_.columns; ++i) result.push_back(c(i / case_.columns, i % case_.columns));
    return result;
  }

  /// The error of `actual` as a dot product, c of NUMERICS.
  support::ErrorReport error(const std::vector<T>& actual) const {
    const auto wide = [](const std::vector<T>& x) { return std::vector<Wide>(x.begin(), x.end()); };
    reference::Array<Wide> start({long(case_.rows), long(case_.columns)});
    std::vector<Wide> lost;  // magnitude that c + bias has beyond its sum
    for (Index i = 0; i < case_.rows * case_.columns; ++i) {
      const bool adds = case_.destination == kernels::Destination::accumulate;
      const Wide c = adds ? Wide(c_[std::size_t(i)]) : Wide(0);
      const Wide bias = case_.with_bias ? Wide(bias_[std::size_t(i % case_.columns)]) : Wide(0);
      start.values[std::size_t(i)] = c + bias;
      lost.push_back(std::abs(c) + std::abs(bias) - std::abs(c + bias));
    }
    auto expected =
        reference::product(reference::Array<Wide>({long(case_.rows), long(case_.depth)}, wide(a_)),
                           reference::Array<Wide>({long(case_.depth), long(case_.columns)}, wide(b_)), start);
    for (std::size_t i = 0; i < lost.size(); ++i) expected.magnitude.values[i] += lost[i];
    return support::dot_product_error(actual, expected.value, expected.magnitude);
  }

  const Case& shape() const { return case_; }

 private:
  template <class, class>
  friend class Trial;

  Trial(const Case& chosen, std::vector<T> a, std::vector<Stored> b, std::vector<T> c, std::vector<T> bias)
      : case_(chosen), a_(std::move(a)), b_(std::move(b)), c_(std::move(c)), bias_(std::move(bias)) {}
  static std::vector<Stored> stored(const std::vector<T>& numbers) {
    std::vector<Stored> result;
    for (const T x : numbers) result.push_back(ef::rounded<Stored>(x));
    return result;
  }

  Case case_;
  std::vector<T> a_;
  std::vector<Stored> b_;
  std::vector<T> c_, bias_;
};

/// Layouts, destination and bias number `i`, so that a sweep over shapes goes through all of them.
inline Case variant(Index rows, Index columns, Index depth, int i) {
  constexpr Layout layouts[] = {Layout::rows, Layout::columns, Layout::scattered};
  return {.rows = rows,
          .columns = columns,
          .depth = depth,
          .a = layouts[i % 3],
          .b = layouts[i / 3 % 3],
          .destination = i / 9 % 2 == 0 ? kernels::Destination::overwrite : kernels::Destination::accumulate,
          .with_bias = i / 18 % 2 == 1};
}
inline constexpr int variants = 36;

}  // namespace product_case
