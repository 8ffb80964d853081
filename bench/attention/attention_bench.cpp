// SPDX-License-Identifier: MIT
// Attention against what one would write over Eigen: Map<Matrix> products per head and a softmax by rows. GFLOP/s
// counts the work that the mask leaves alive, 2 (d_k + d_v) for each live score, and 2.5 times that for backward;
// decoding states the bytes of keys and values.

#include <eigenformer/attention/attention.hpp>
#include <eigenformer/attention/attention_backward.hpp>
#include <eigenformer/core/random.hpp>

#include <benchmark/benchmark.h>

#include <Eigen/Dense>

namespace {

namespace ef = eigenformer;
using ef::Index;

struct Problem {
  Problem(Index queries, Index keys, Index heads, Index kv_heads, Index dim)
      : q(1, queries, heads, dim), k(1, keys, kv_heads, dim), v(1, keys, kv_heads, dim), y(q.dimensions()) {
    ef::Random random(1);
    for (ef::Tensor<float, 4>* x : {&q, &k, &v}) {
      for (Index i = 0; i < x->size(); ++i) x->data()[i] = static_cast<float>(random.normal());
    }
    log_sum_exp.resize(static_cast<std::size_t>(queries * heads));
    segments[0] = {k, v};
  }
  ef::Tensor<float, 4> q;
  ef::Tensor<float, 4> k;
  ef::Tensor<float, 4> v;
  ef::Tensor<float, 4> y;
  std::vector<float> log_sum_exp;
  ef::KeyValueSegment<float> segments[1];
};

using HeadMap = Eigen::Map<const ef::Matrix<float>, 0, Eigen::OuterStride<>>;

/// The plain version: scores of a whole head in memory.
template <class Mask>
void plain(const Problem& p, ef::Tensor<float, 4>& y, const Mask& mask) {
  const Index heads = p.q.dimension(2);
  const Index kv_heads = p.k.dimension(2);
  const Index dim = p.q.dimension(3);
  const Index queries = p.q.dimension(1);
  const Index keys = p.k.dimension(1);
  const ef::AttentionExtent extent{1, queries, keys};
  ef::Matrix<float> scores(queries, keys);
  for (Index h = 0; h < heads; ++h) {
    const Index g = h / (heads / kv_heads);
    const HeadMap q(p.q.data() + h * dim, queries, dim, Eigen::OuterStride<>(heads * dim));
    const HeadMap k(p.k.data() + g * dim, keys, dim, Eigen::OuterStride<>(kv_heads * dim));
    const HeadMap v(p.v.data() + g * dim, keys, dim, Eigen::OuterStride<>(kv_heads * dim));
    Eigen::Map<ef::Matrix<float>, 0, Eigen::OuterStride<>> out(y.data() + h * dim, queries, dim,
                                                               Eigen::OuterStride<>(heads * dim));
    scores.noalias() = q * k.transpose() * (1 / std::sqrt(static_cast<float>(dim)));
    for (Index s = 0; s < queries; ++s) {
      const Index live = mask.live_keys(extent, 0, s).last;
      auto row = scores.row(s).head(live).array();
      row = (row - row.maxCoeff()).exp();
      row /= row.sum();
      scores.row(s).tail(keys - live).setZero();
    }
    out.noalias() = scores * v;
  }
}

template <class Mask>
double live_scores(Index queries, Index keys, Index heads, const Mask& mask) {
  double live = 0;
  for (Index s = 0; s < queries; ++s) live += static_cast<double>(mask.live_keys({1, queries, keys}, 0, s).last);
  return live * static_cast<double>(heads);
}

void report_flops(benchmark::State& state, double operations) {
  state.counters["GFLOP/s"] = benchmark::Counter(operations * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

template <class Mask>
bool agrees_with_plain(Problem& p, const Mask& mask, ef::Context& context) {
  ef::attention<float>({p.q, p.segments}, {p.y, p.log_sum_exp.data()}, mask, {}, context);
  ef::Tensor<float, 4> expected(p.y.dimensions());
  plain(p, expected, mask);
  double worst = 0;
  for (Index i = 0; i < expected.size(); ++i) {
    worst = (std::max)(worst, static_cast<double>(std::abs(expected.data()[i] - p.y.data()[i])));
  }
  return worst < 1e-4;
}

template <class Mask>
void forward(benchmark::State& state) {
  Problem p(state.range(0), state.range(0), 12, 12, 64);
  ef::Context context({.threads = static_cast<int>(state.range(1))});
  if (!agrees_with_plain(p, Mask{}, context)) return state.SkipWithError("wrong result");
  for (auto _ : state) ef::attention<float>({p.q, p.segments}, {p.y, nullptr}, Mask{}, {}, context);
  report_flops(state, 4.0 * 64 * live_scores(state.range(0), state.range(0), 12, Mask{}));
}
BENCHMARK(forward<ef::NoMask>)->ArgsProduct({{512, 2048}, {1, 2}})->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(forward<ef::Causal>)->ArgsProduct({{128, 512, 2048}, {1, 2}})->UseRealTime()->Unit(benchmark::kMillisecond);

template <class Mask>
void forward_plain_eigen(benchmark::State& state) {
  Problem p(state.range(0), state.range(0), 12, 12, 64);
  for (auto _ : state) plain(p, p.y, Mask{});
  report_flops(state, 4.0 * 64 * live_scores(state.range(0), state.range(0), 12, Mask{}));
}
BENCHMARK(forward_plain_eigen<ef::NoMask>)->Arg(512)->Arg(2048)->Unit(benchmark::kMillisecond);
BENCHMARK(forward_plain_eigen<ef::Causal>)->Arg(128)->Arg(512)->Arg(2048)->Unit(benchmark::kMillisecond);

template <class Mask>
void backward(benchmark::State& state) {
  Problem p(state.range(0), state.range(0), 12, 12, 64);
  ef::Context context({.threads = static_cast<int>(state.range(1))});
  if (!agrees_with_plain(p, Mask{}, context)) return state.SkipWithError("wrong result");
  ef::Tensor<float, 4> dq(p.q.dimensions());
  ef::Tensor<float, 4> dk(p.k.dimensions());
  ef::Tensor<float, 4> dv(p.v.dimensions());
  const ef::KeyValueGradient<float> gradients[] = {{dk, dv}};
  for (auto _ : state) {
    ef::attention_backward<float>({p.q, p.segments}, {p.y, p.q, p.log_sum_exp.data()}, {dq, gradients}, Mask{}, {},
                                  context);
  }
  report_flops(state, 10.0 * 64 * live_scores(state.range(0), state.range(0), 12, Mask{}));
}
BENCHMARK(backward<ef::NoMask>)->ArgsProduct({{512, 2048}, {1, 2}})->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(backward<ef::Causal>)->ArgsProduct({{512, 2048}, {1, 2}})->UseRealTime()->Unit(benchmark::kMillisecond);

/// One query of 32 heads over 4096 positions, head_dim 128.
void decode(benchmark::State& state) {
  Problem p(1, 4096, 32, state.range(0), 128);
  ef::Context context({.threads = static_cast<int>(state.range(1))});
  if (!agrees_with_plain(p, ef::NoMask{}, context)) return state.SkipWithError("wrong result");
  for (auto _ : state) ef::attention<float>({p.q, p.segments}, {p.y, nullptr}, ef::Causal{}, {}, context);
  state.SetBytesProcessed(state.iterations() * 2 * p.k.size() * static_cast<std::int64_t>(sizeof(float)));
}
BENCHMARK(decode)->ArgsProduct({{32, 8, 1}, {1, 2}})->UseRealTime()->Unit(benchmark::kMillisecond);

void decode_plain_eigen(benchmark::State& state) {
  Problem p(1, 4096, 32, state.range(0), 128);
  for (auto _ : state) plain(p, p.y, ef::NoMask{});
  state.SetBytesProcessed(state.iterations() * 2 * p.k.size() * static_cast<std::int64_t>(sizeof(float)));
}
BENCHMARK(decode_plain_eigen)->Arg(32)->Arg(8)->Arg(1)->Unit(benchmark::kMillisecond);

/// The memory's side of decoding: how fast the same bytes are read.
void read_memory(benchmark::State& state) {
  std::vector<float> memory(static_cast<std::size_t>(4096 * state.range(0) * 128 * 2), 1.0F);
  for (auto _ : state) {
    benchmark::DoNotOptimize(Eigen::Map<Eigen::ArrayXf>(memory.data(), static_cast<Index>(memory.size())).sum());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(memory.size() * sizeof(float)));
}
BENCHMARK(read_memory)->Arg(32)->Arg(8)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
