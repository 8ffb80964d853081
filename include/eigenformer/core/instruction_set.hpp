#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <array>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What the hot loops are compiled for. Every program holds all that its architecture knows and chooses when it runs,
/// so that no compiler flag is needed for speed; `portable` is always there.
enum class InstructionSet { portable, avx2, avx512, neon };

/// Those that programs for this architecture hold, the slowest first. This machine need not be able to run them all.
#if defined(__x86_64__)
inline constexpr std::array all_instruction_sets = {InstructionSet::portable, InstructionSet::avx2,
                                                    InstructionSet::avx512};
#elif defined(__aarch64__)
inline constexpr std::array all_instruction_sets = {InstructionSet::portable, InstructionSet::neon};
#else
inline constexpr std::array all_instruction_sets = {InstructionSet::portable};
#endif

/// As in code: "portable", "avx2", "avx512", "neon".
constexpr std::string_view name(InstructionSet instruction_set) {
  switch (instruction_set) {
    case InstructionSet::avx2: return "avx2";
    case InstructionSet::avx512: return "avx512";
    case InstructionSet::neon: return "neon";
    case InstructionSet::portable: break;
  }
  return "portable";
}

namespace detail {

#if defined(__x86_64__)
/// Whether there are conversions from and to half precision (F16C). Asked of the processor itself, because clang before
/// 15 does not know the name; once, because a virtual machine answers slowly.
inline bool has_f16c() {
  static const bool answer = [] {
    unsigned eax = 1, ebx = 0, ecx = 0, edx = 0;
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return (ecx >> 29U & 1U) != 0;
  }();
  return answer;
}
#endif

}  // namespace detail

/// Whether this machine can run it: avx2 means AVX2, FMA and F16C, avx512 means the F, BW, DQ and VL parts, which every
/// processor with AVX-512 since Skylake-SP has.
inline bool available(InstructionSet instruction_set) {
  switch (instruction_set) {
#if defined(__x86_64__)
    case InstructionSet::avx2:
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 && detail::has_f16c();
    case InstructionSet::avx512:
      return available(InstructionSet::avx2) && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
             __builtin_cpu_supports("avx512vl") != 0;
#elif defined(__aarch64__)
    case InstructionSet::neon: return true;
#endif
    case InstructionSet::portable: return true;
    default: return false;
  }
}

/// The fastest that this machine can run.
inline InstructionSet best_instruction_set() {
  InstructionSet best = InstructionSet::portable;
  for (const InstructionSet candidate : all_instruction_sets) {
    if (available(candidate)) best = candidate;
  }
  return best;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
