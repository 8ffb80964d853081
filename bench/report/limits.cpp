// SPDX-License-Identifier: MIT

#include <report/limits.hpp>

#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/simd/target.hpp>

#include <train_language_model/peak.hpp>  // the demo's measure of multiply-adds is ours as well

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <ostream>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>  // the library itself does not include it
#endif

#define EIGENFORMER_KERNEL <report/limits.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {
namespace {

float read_in_streams(const float* numbers, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, read_in_streams(numbers, count));
}
float read_in_order(const float* numbers, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, read_in_order(numbers, count));
}
void copy_in_order(const float* from, float* to, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, copy_in_order(from, to, count));
}

}  // namespace
}  // namespace eigenformer::inline EIGENFORMER_ABI

namespace bench {

namespace ef = eigenformer;

double Limits::arithmetic_seconds(const Cost& cost, std::string_view instruction_set, int threads) const {
  if (cost.of_bytes) {
    for (const Integer& rate : integer) {
      if (rate.threads == threads) return cost.operations / rate.per_second;
    }
    return 0;
  }
  for (const Arithmetic& rate : arithmetic) {
    if (rate.instruction_set == instruction_set && rate.threads == threads) return cost.operations / rate.per_second;
  }
  return 0;
}

double Limits::memory_seconds(const Cost& cost, int threads) const {
  const Memory* rates = nullptr;
  for (const Memory& each : memory) {
    if (each.threads != threads) continue;
    rates = &each;
    if (each.footprint >= cost.bytes_read + cost.bytes_written) break;
  }
  if (rates == nullptr) return 0;
  const double copied = 2 * cost.bytes_written;
  const double read = (std::max)(0.0, cost.bytes_read - cost.bytes_written);
  return copied / rates->copy + read / rates->read;
}

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The shortest time of body(thread) on all threads at once, over at least `seconds`.
double best_seconds(ef::Context& context, double seconds, const std::function<void(int)>& body) {
  constexpr double enough_for_threads = 1e9;
  double best = 1e30;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point begin = Clock::now();
    context.parallel_for(context.threads(), enough_for_threads, [&](ef::Index i) { body(static_cast<int>(i)); });
    best = (std::min)(best, seconds_since(begin));
  } while (seconds_since(start) < seconds);
  return best;
}

/// Reading and copying within `footprint` bytes, of which each thread has its part.
Limits::Memory measure_memory(double footprint, ef::Context& context, double seconds) {
  constexpr ef::Index grain = 512;      // floats; every loop's step divides it
  constexpr double least_bytes = 64e6;  // of one measurement, so that starting threads does not count
  const ef::InstructionSet set = context.instruction_set();
  const auto part = static_cast<ef::Index>(footprint / sizeof(float)) / context.threads() / grain * grain;
  const int rounds = (std::max)(1, static_cast<int>(least_bytes / footprint));
  std::vector<float> numbers(static_cast<std::size_t>(part * context.threads()), 1.0F);
  std::vector<float> sums(static_cast<std::size_t>(context.threads()) * 16);
  const auto memory_of = [&](int thread) { return numbers.data() + thread * part; };
  const auto reading = [&](auto read) {
    return best_seconds(context, seconds / 2, [&, read](int thread) {
      float sum = 0;
      for (int i = 0; i < rounds; ++i) sum += read(memory_of(thread), part, set);
      sums[static_cast<std::size_t>(thread) * 16] = sum;  // looked at, so that nothing is left out
    });
  };
  const auto copying = [&](auto copy) {
    return best_seconds(context, seconds / 2, [&, copy](int thread) {
      for (int i = 0; i < rounds; ++i) copy(memory_of(thread), memory_of(thread) + part / 2, part / 2);
    });
  };
  const double read_seconds = (std::min)(reading([](const float* at, ef::Index count, ef::InstructionSet with) {
                                           return ef::read_in_streams(at, count, with);
                                         }),
                                         reading([](const float* at, ef::Index count, ef::InstructionSet with) {
                                           return ef::read_in_order(at, count, with);
                                         }));
  const double copy_seconds = (std::min)(
      copying([set](const float* from, float* to, ef::Index count) { ef::copy_in_order(from, to, count, set); }),
      copying([](const float* from, float* to, ef::Index count) {
        std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
      }));
  const double bytes = static_cast<double>(rounds) * static_cast<double>(numbers.size()) * sizeof(float);
  return {footprint, context.threads(), bytes / read_seconds, bytes / copy_seconds};
}

#if defined(__x86_64__)

constexpr int integer_chains = 8;

/// Each round: products of 8-bit numbers, added up in pairs and then to sums of 16 bits; returns something of the sums.
[[gnu::target("avx2")]] int multiply_add_avx2(long rounds) {
  __m256i sums[integer_chains] = {};
  __m256i a = _mm256_set1_epi8(1);
  __m256i b = _mm256_set1_epi8(1);
  for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 8
    for (int i = 0; i < integer_chains; ++i) {
      __asm__ volatile("" : "+v"(a), "+v"(b));  // or one product would serve all chains
      sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(a, b));
    }
    __asm__ volatile(""
                     : "+v"(sums[0]), "+v"(sums[1]), "+v"(sums[2]), "+v"(sums[3]), "+v"(sums[4]), "+v"(sums[5]),
                       "+v"(sums[6]), "+v"(sums[7]));
  }
  __m256i total = sums[0];
#pragma GCC unroll 8
  for (int i = 1; i < integer_chains; ++i) total = _mm256_add_epi16(total, sums[i]);
  return _mm_cvtsi128_si32(_mm256_castsi256_si128(total));
}

/// The same in one instruction that adds up in 32 bits.
[[gnu::target("avx512f,avx512bw,avx512vnni")]] int multiply_add_vnni(long rounds) {
  __m512i sums[integer_chains];
#pragma GCC unroll 8
  for (int i = 0; i < integer_chains; ++i) sums[i] = _mm512_setzero_si512();
  __m512i a = _mm512_set1_epi8(1);
  __m512i b = _mm512_set1_epi8(1);
  for (long round = 0; round < rounds; ++round) {
    __asm__ volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 8
    for (int i = 0; i < integer_chains; ++i) sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
    __asm__ volatile(""
                     : "+v"(sums[0]), "+v"(sums[1]), "+v"(sums[2]), "+v"(sums[3]), "+v"(sums[4]), "+v"(sums[5]),
                       "+v"(sums[6]), "+v"(sums[7]));
  }
  __m512i total = sums[0];
#pragma GCC unroll 8
  for (int i = 1; i < integer_chains; ++i) total = _mm512_add_epi32(total, sums[i]);
  return _mm_cvtsi128_si32(_mm512_maskz_extracti32x4_epi32(0xF, total, 0));  // unmasked, g++ 12 warns
}

void measure_integers(ef::Context& context, double seconds, Limits& limits) {
  constexpr long rounds = 200'000;
  const auto measure = [&](const char* instructions, double bytes, int (*run)(long)) {
    std::vector<int> results(static_cast<std::size_t>(context.threads()) * 16);
    const double best = best_seconds(context, seconds,
                                     [&](int thread) { results[static_cast<std::size_t>(thread) * 16] = run(rounds); });
    limits.integer.push_back(
        {instructions, context.threads(), 2 * bytes * integer_chains * rounds * context.threads() / best});
  };
  if (__builtin_cpu_supports("avx2")) measure("vpmaddubsw + vpaddw, 256 bits", 32, multiply_add_avx2);
  if (__builtin_cpu_supports("avx512vnni")) measure("vpdpbusd, 512 bits", 64, multiply_add_vnni);
}

#else

void measure_integers(ef::Context&, double, Limits&) {}

#endif

}  // namespace

Limits measure_limits(double seconds_each) {
  Limits limits;
  const int most_threads = std::thread::hardware_concurrency() > 1 ? 2 : 1;
  for (int threads = 1; threads <= most_threads; ++threads) {
    for (const ef::InstructionSet set : ef::all_instruction_sets) {
      if (!ef::available(set)) continue;
      ef::Context context({.threads = threads, .instruction_set = set});
      limits.arithmetic.push_back({std::string(ef::name(set)), threads, peak_operations_per_second(context)});
    }
    ef::Context context({.threads = threads});
    for (const double footprint : {24e3, 512e3, 8e6, 24e6, 256e6}) {
      limits.memory.push_back(measure_memory(footprint * (footprint < 1e6 ? threads : 1), context, seconds_each));
    }
    measure_integers(context, seconds_each, limits);
  }
  return limits;
}

void print(std::ostream& out, const Limits& limits) {
  char line[160];
  for (const Limits::Arithmetic& rate : limits.arithmetic) {
    std::snprintf(line, sizeof line, "  fp32 multiply-adds, %-10s %d thread%s  %8.1f GFLOP/s\n",
                  rate.instruction_set.c_str(), rate.threads, rate.threads == 1 ? " " : "s", rate.per_second * 1e-9);
    out << line;
  }
  for (const Limits::Memory& rates : limits.memory) {
    std::snprintf(line, sizeof line, "  memory, %9.0f KB %14d thread%s  read %7.1f GB/s, copy %7.1f GB/s\n",
                  rates.footprint * 1e-3, rates.threads, rates.threads == 1 ? " " : "s", rates.read * 1e-9,
                  rates.copy * 1e-9);
    out << line;
  }
  for (const Limits::Integer& rate : limits.integer) {
    std::snprintf(line, sizeof line, "  int8, %-30s %d thread%s %8.1f Gop/s\n", rate.instructions.c_str(), rate.threads,
                  rate.threads == 1 ? " " : "s", rate.per_second * 1e-9);
    out << line;
  }
}

}  // namespace bench
