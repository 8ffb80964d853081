// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors.hpp>

#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

namespace {

using namespace eigenformer;

/// A file of `count` tensors of 16 bytes each, named as the layers of a model are.
std::vector<std::byte> file_of(std::int64_t count) {
  std::string header = "{";
  for (std::int64_t i = 0; i < count; ++i) {
    header += "\"model.layers." + std::to_string(i) +
              ".attention.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[" + std::to_string(16 * i) +
              "," + std::to_string(16 * i + 16) + "]},";
  }
  header.back() = '}';
  std::vector<std::byte> bytes(8 + header.size() + static_cast<std::size_t>(16 * count));
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

/// Opening must stay linear in the header: 100,000 tensors in about a third of a second.
void open_tensors(benchmark::State& state) {
  const std::vector<std::byte> bytes = file_of(state.range(0));
  if (SafetensorsFile(std::span(bytes)).size() != static_cast<std::size_t>(state.range(0)))
    state.SkipWithError("wrong count");
  for (auto _ : state) benchmark::DoNotOptimize(SafetensorsFile::try_open(std::span(bytes)));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(bytes.size()));
}
BENCHMARK(open_tensors)->Arg(1'000)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

template <class Stored, class T>
void read_tensor(benchmark::State& state) {
  constexpr std::int64_t count = 1 << 22;
  const std::string header = "{\"a\":{\"dtype\":\"" + std::string(name(dtype_of<Stored>)) + "\",\"shape\":[" +
                             std::to_string(count) + "],\"data_offsets\":[0," +
                             std::to_string(count * static_cast<std::int64_t>(sizeof(Stored))) + "]}}";
  std::vector<std::byte> bytes(8 + header.size() + count * sizeof(Stored));
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  const SafetensorsFile file{std::span<const std::byte>(bytes)};
  std::vector<T> values(count);
  for (auto _ : state) {
    file.read<T>("a", {count}, values);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * count *
                          static_cast<std::int64_t>(sizeof(Stored)));
}
BENCHMARK(read_tensor<float, float>)->Unit(benchmark::kMillisecond);
BENCHMARK(read_tensor<Eigen::bfloat16, float>)->Unit(benchmark::kMillisecond);
BENCHMARK(read_tensor<Eigen::half, float>)->Unit(benchmark::kMillisecond);
BENCHMARK(read_tensor<double, float>)->Unit(benchmark::kMillisecond);

}  // namespace
