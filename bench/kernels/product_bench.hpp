#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/gemm.hpp>

#include <benchmark/benchmark.h>
#include <Eigen/Core>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

/// What the benchmarks of gemm and gemv share: one product in Eigen's form and in ours, with B in float and stored in half
/// precision, its answer checked before it is timed. Arguments of a benchmark: rows, depth, columns, whether B is W^T of weights [columns, depth] (1) or plain
/// (0).
namespace product_bench {

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
using ef::Index;

template <class Stored = float>
struct Numbers {
  explicit Numbers(const benchmark::State& state)
      : rows(state.range(0)), depth(state.range(1)), columns(state.range(2)), by_columns(state.range(3) != 0) {
    std::uint64_t bits = 1;
    const auto fill = [&](auto& values, Index size) {
      values.resize(static_cast<std::size_t>(size));
      for (auto& value : values) {
        bits = bits * 6364136223846793005U + 1442695040888963407U;
        const float number = static_cast<float>(static_cast<std::int64_t>(bits) >> 32) * 0x1p-31F;
        value = ef::rounded<std::remove_cvref_t<decltype(value)>>(number);
      }
    };
    fill(a, rows * depth);
    fill(b, depth * columns);
    c.assign(static_cast<std::size_t>(rows * columns), 0.0F);
  }

  kernels::Product<float, Stored> product() {
    return {.rows = rows,
            .columns = columns,
            .depth = depth,
            .a = kernels::plain<float>(a.data(), depth),
            .b = by_columns ? kernels::transposed<Stored>(b.data(), depth) : kernels::plain<Stored>(b.data(), columns),
            .c = c.data(),
            .c_stride = columns};
  }

  /// Whether a few elements of c are the product; the limit is the bound of the depth.
  bool right() const {
    for (Index i = 0; i < 64; ++i) {
      const Index m = i * 31 % rows, n = i * 127 % columns;
      double sum = 0, size = 0;
      for (Index k = 0; k < depth; ++k) {
        const double product = double(a[std::size_t(m * depth + k)]) *
                               ef::widened<double>(b[std::size_t(by_columns ? n * depth + k : k * columns + n)]);
        sum += product;
        size += std::abs(product);
      }
      if (!(std::abs(double(c[std::size_t(m * columns + n)]) - sum) <= 1.2e-7 * double(depth + 2) * size)) return false;
    }
    return true;
  }

  void report(benchmark::State& state) const {
    const double each = double(state.iterations());
    state.counters["flops"] =
        benchmark::Counter(2.0 * double(rows * columns) * double(depth) * each, benchmark::Counter::kIsRate);
    state.counters["B bytes"] = benchmark::Counter(double(sizeof(Stored)) * double(columns * depth) * each,
                                                   benchmark::Counter::kIsRate, benchmark::Counter::kIs1024);
  }

  Index rows, depth, columns;
  bool by_columns;
  std::vector<float> a, c;
  std::vector<Stored> b;
};

template <class Stored>
void with_ours(benchmark::State& state, ef::InstructionSet instruction_set, int threads) {
  if (!ef::available(instruction_set)) return state.SkipWithError("not on this machine");
  Numbers<Stored> numbers(state);
  ef::Context context({.threads = threads, .instruction_set = instruction_set});
  const kernels::Product<float, Stored> product = numbers.product();
  kernels::gemm(product, context);
  if (!numbers.right()) return state.SkipWithError("wrong product");
  for (auto _ : state) {
    kernels::gemm(product, context);
    benchmark::DoNotOptimize(numbers.c.data());
    benchmark::ClobberMemory();
  }
  numbers.report(state);
}

inline void with_eigen(benchmark::State& state) {
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Numbers<> numbers(state);
  const Eigen::Map<const Rows> a(numbers.a.data(), numbers.rows, numbers.depth);
  const Eigen::Map<const Rows> plain(numbers.b.data(), numbers.depth, numbers.columns);
  const Eigen::Map<const Rows> weights(numbers.b.data(), numbers.columns, numbers.depth);
  Eigen::Map<Rows> c(numbers.c.data(), numbers.rows, numbers.columns);
  const auto multiply = [&] {
    if (numbers.rows == 1) {
      const auto x = a.row(0).transpose();
      if (numbers.by_columns) {
        c.row(0).transpose().noalias() = weights * x;
      } else {
        c.row(0).transpose().noalias() = plain.transpose() * x;
      }
    } else if (numbers.by_columns) {
      c.noalias() = a * weights.transpose();
    } else {
      c.noalias() = a * plain;
    }
  };
  multiply();
  if (!numbers.right()) return state.SkipWithError("wrong product");
  for (auto _ : state) {
    multiply();
    benchmark::DoNotOptimize(numbers.c.data());
    benchmark::ClobberMemory();
  }
  numbers.report(state);
}

/// Registers Eigen's product and ours side by side for every shape. Run with
/// --benchmark_enable_random_interleaving=true --benchmark_repetitions=9 to compare them fairly on a busy machine.
inline void register_products(const std::string& name, const std::vector<std::vector<std::int64_t>>& shapes) {
  for (const std::vector<std::int64_t>& shape : shapes) {
    benchmark::RegisterBenchmark((name + "/eigen").c_str(), with_eigen)->Args(shape);
    for (const ef::InstructionSet instruction_set : ef::all_instruction_sets) {
      if (!ef::available(instruction_set)) continue;
      const std::string ours = name + "/" + std::string(ef::name(instruction_set));
      benchmark::RegisterBenchmark(ours.c_str(), with_ours<float>, instruction_set, 1)->Args(shape);
      benchmark::RegisterBenchmark((ours + "_bfloat16").c_str(), with_ours<ef::Bfloat16>, instruction_set, 1)
          ->Args(shape);
      benchmark::RegisterBenchmark((ours + "_float16").c_str(), with_ours<ef::Float16>, instruction_set, 1)
          ->Args(shape);
    }
    benchmark::RegisterBenchmark((name + "/two_threads").c_str(), with_ours<float>, ef::best_instruction_set(), 2)
        ->Args(shape)
        ->UseRealTime();
  }
}

}  // namespace product_bench
