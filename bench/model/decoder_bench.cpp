// SPDX-License-Identifier: MIT

#include <eigenformer/model/decoder.hpp>
#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/cross_entropy.hpp>

#include <benchmark/benchmark.h>

namespace {

namespace ef = eigenformer;
using Model = ef::LlamaDecoder<float>;

constexpr ef::DecoderOptions options = {
    .vocabulary = 256, .dim = 128, .layers = 3, .heads = 4, .kv_heads = 2, .hidden = 384};

/// Tokens and operations per second of one step of training: forward, loss, backward, AdamW. Operations are 6 N + 12 L
/// H Q T for each token (Chowdhery et al. 2022, appendix B).
void train_step(benchmark::State& state) {
  constexpr ef::Index batch = 8;
  constexpr ef::Index length = 128;
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  Model model(options, ef::Random(1));
  ef::AdamW<float> optimizer;
  ef::Random random(2);
  ef::Tensor<std::int32_t, 2> tokens(batch, length);
  for (ef::Index i = 0; i < tokens.size(); ++i) tokens.data()[i] = static_cast<std::int32_t>(random.index(256));
  ef::Tensor<float, 3> logits = model.output_like(tokens);
  Model::Cache cache;
  double loss = 0;
  const auto step = [&] {
    model.forward(tokens, logits, context, &cache);
    loss = ef::cross_entropy<float>(logits, tokens, logits, context).mean;
    ef::zero_gradients(model);
    model.backward(logits, cache, context);
    optimizer.step(model, context);
  };
  step();
  const double first = loss;
  for (int i = 0; i < 5; ++i) step();
  if (!(loss < first)) state.SkipWithError("the loss does not fall");
  for (auto _ : state) step();
  const double per_token = 6.0 * static_cast<double>(ef::parameter_count(model)) +
                           12.0 * static_cast<double>(options.layers * options.dim * length);
  const auto done = static_cast<double>(state.iterations() * batch * length);
  state.counters["tokens/s"] = benchmark::Counter(done, benchmark::Counter::kIsRate);
  state.counters["flop/s"] = benchmark::Counter(done * per_token, benchmark::Counter::kIsRate);
}
BENCHMARK(train_step)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

/// One token through the key/value cache, with `before` positions in it.
void decode_step(benchmark::State& state) {
  ef::Context context({.threads = static_cast<int>(state.range(1))});
  const Model model(options, ef::Random(1));
  Model::KeyValues key_values = model.key_values(1, state.range(0) + 1);
  const std::vector<std::int32_t> prompt(static_cast<std::size_t>(state.range(0)), 65);
  const std::vector<std::int32_t> token = {66};
  ef::Matrix<float> logits(1, 256);
  model.next_logits(prompt, logits, key_values, context);
  for (auto _ : state) {
    model.next_logits(token, logits, key_values, context);
    for (auto& layer : key_values) layer.truncate(state.range(0));
  }
  ef::Matrix<float> whole(state.range(0) + 1, 256);
  std::vector<std::int32_t> all = prompt;
  all.push_back(66);
  model.forward(all, whole, context);
  if ((whole.bottomRows(1) - logits).cwiseAbs().maxCoeff() > 1e-4F) state.SkipWithError("not what one forward gives");
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(decode_step)->ArgNames({"before", "threads"})->ArgsProduct({{16, 512}, {1, 2}})->UseRealTime();

}  // namespace
