// SPDX-License-Identifier: MIT

#include "reference/activations.hpp"
#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/kernels/recurrent.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
namespace tolerance = support::tolerance;

template <class T>
class RecurrentKernel : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(RecurrentKernel, Scalars);

template <class T>
support::GuardedBuffer<T> guarded(const std::vector<T>& values, std::ptrdiff_t offset) {
  support::GuardedBuffer<T> buffer(static_cast<std::ptrdiff_t>(values.size()), offset);
  std::copy(values.begin(), values.end(), buffer.begin());
  return buffer;
}

/// Calls body(set, hidden, random) for every instruction set and for rows that end anywhere in a vector.
template <class Body>
void for_rows(const Body& body) {
  support::Generator random(21);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (std::ptrdiff_t hidden = 0; hidden <= 37; ++hidden, ++cases) body(set, hidden, random);
  }
  EXPECT_GE(cases, 38);
}

/// An activation of 4 ulp, and what rounds before and behind it: the argument's own rounding moves it by less than
/// |argument| eps, and arguments are below 10 here.
template <class T>
constexpr double limit = 20 * tolerance::epsilon<T>;

}  // namespace

TYPED_TEST(RecurrentKernel, lstm_follows_its_formula_for_every_length_and_instruction_set) {
  using T = TypeParam;
  for_rows([](ef::InstructionSet set, std::ptrdiff_t n, support::Generator& random) {
    const auto shares = support::normal<T>(4 * n, random), recurrent = support::normal<T>(4 * n, random);
    const auto before = support::normal<T>(n, random);
    auto gates = guarded(shares, n % 16);
    support::GuardedBuffer<T> state(n, (n + 3) % 16);
    kernels::lstm_cell<T>({gates.data(), recurrent.data(), before.data(), state.data(), n}, set);
    for (std::ptrdiff_t j = 0; j < n; ++j) {
      const auto sum = [&](std::ptrdiff_t gate) {
        const auto at = static_cast<std::size_t>(gate * n + j);
        return static_cast<double>(shares[at]) + static_cast<double>(recurrent[at]);
      };
      const double i = reference::sigmoid(sum(0)), f = reference::sigmoid(sum(1)), g = std::tanh(sum(2));
      const double c = f * static_cast<double>(before[static_cast<std::size_t>(j)]) + i * g;
      const auto near = [&](T value, double expected) {
        EXPECT_NEAR(static_cast<double>(value), expected, limit<T> * (1 + std::abs(expected))) << n << ", " << j;
      };
      near(gates.data()[j], i);
      near(gates.data()[n + j], f);
      near(gates.data()[2 * n + j], g);
      near(gates.data()[3 * n + j], reference::sigmoid(sum(3)));
      near(state.data()[j], c);
    }
    EXPECT_TRUE(gates.untouched_outside() && state.untouched_outside());
  });
}

TYPED_TEST(RecurrentKernel, gru_follows_its_formula_for_every_length_and_instruction_set) {
  using T = TypeParam;
  for_rows([](ef::InstructionSet set, std::ptrdiff_t n, support::Generator& random) {
    const auto shares = support::normal<T>(3 * n, random), recurrent = support::normal<T>(3 * n, random);
    const auto before = support::normal<T>(n, random);
    auto gates = guarded(shares, n % 16);
    support::GuardedBuffer<T> state(n, (n + 3) % 16);
    kernels::gru_cell<T>({gates.data(), recurrent.data(), before.data(), state.data(), n}, set);
    for (std::ptrdiff_t j = 0; j < n; ++j) {
      const auto share = [&](const std::vector<T>& of, std::ptrdiff_t gate) {
        return static_cast<double>(of[static_cast<std::size_t>(gate * n + j)]);
      };
      const double r = reference::sigmoid(share(shares, 0) + share(recurrent, 0));
      const double z = reference::sigmoid(share(shares, 1) + share(recurrent, 1));
      const double candidate = std::tanh(share(shares, 2) + r * share(recurrent, 2));
      const auto near = [&](T value, double expected) {
        EXPECT_NEAR(static_cast<double>(value), expected, limit<T> * (1 + std::abs(expected))) << n << ", " << j;
      };
      near(gates.data()[j], r);
      near(gates.data()[n + j], z);
      near(gates.data()[2 * n + j], candidate);
      near(state.data()[j], (1 - z) * candidate + z * share(before, 0));
    }
    EXPECT_TRUE(gates.untouched_outside() && state.untouched_outside());
  });
}

TYPED_TEST(RecurrentKernel, backward_of_lstm_follows_its_formula_also_over_its_input) {
  using T = TypeParam;
  for_rows([](ef::InstructionSet set, std::ptrdiff_t n, support::Generator& random) {
    std::vector<T> gates(static_cast<std::size_t>(4 * n));
    for (T& gate : gates) gate = static_cast<T>(random.uniform(0, 1));
    const auto before = support::normal<T>(n, random), doutput = support::normal<T>(n, random);
    const auto dc = support::normal<T>(n, random);
    auto state = guarded(dc, n % 16);
    support::GuardedBuffer<T> dgates(4 * n, (n + 5) % 16);
    kernels::lstm_cell_backward<T>({.gates = gates.data(),
                                    .before = before.data(),
                                    .recurrent = nullptr,
                                    .dstate = state.data(),
                                    .doutput = doutput.data(),
                                    .dgates = dgates.data(),
                                    .drecurrent = nullptr,
                                    .dbefore = state.data(),
                                    .hidden = n},
                                   set);
    for (std::ptrdiff_t j = 0; j < n; ++j) {
      const auto at = [&](const std::vector<T>& of, std::ptrdiff_t gate = 0) {
        return static_cast<double>(of[static_cast<std::size_t>(gate * n + j)]);
      };
      const double i = at(gates), f = at(gates, 1), g = at(gates, 2), o = at(gates, 3);
      const auto near = [&](T value, double expected) {
        EXPECT_NEAR(static_cast<double>(value), expected, 6 * tolerance::epsilon<T> * (1 + std::abs(expected)));
      };
      near(dgates.data()[j], at(dc) * g * i * (1 - i));
      near(dgates.data()[n + j], at(dc) * at(before) * f * (1 - f));
      near(dgates.data()[2 * n + j], at(dc) * i * (1 - g * g));
      near(dgates.data()[3 * n + j], at(doutput) * o * (1 - o));
      near(state.data()[j], at(dc) * f);
    }
    EXPECT_TRUE(dgates.untouched_outside() && state.untouched_outside());
  });
}

TYPED_TEST(RecurrentKernel, backward_of_gru_follows_its_formula_also_over_its_input) {
  using T = TypeParam;
  for_rows([](ef::InstructionSet set, std::ptrdiff_t n, support::Generator& random) {
    std::vector<T> gates(static_cast<std::size_t>(3 * n));
    for (T& gate : gates) gate = static_cast<T>(random.uniform(0, 1));
    const auto before = support::normal<T>(n, random), share = support::normal<T>(n, random);
    const auto dh = support::normal<T>(n, random);
    auto state = guarded(dh, n % 16);
    support::GuardedBuffer<T> dgates(3 * n, (n + 5) % 16), drecurrent(3 * n, (n + 7) % 16);
    kernels::gru_cell_backward<T>({.gates = gates.data(),
                                   .before = before.data(),
                                   .recurrent = share.data(),
                                   .dstate = state.data(),
                                   .doutput = nullptr,
                                   .dgates = dgates.data(),
                                   .drecurrent = drecurrent.data(),
                                   .dbefore = state.data(),
                                   .hidden = n},
                                  set);
    for (std::ptrdiff_t j = 0; j < n; ++j) {
      const auto at = [&](const std::vector<T>& of, std::ptrdiff_t gate = 0) {
        return static_cast<double>(of[static_cast<std::size_t>(gate * n + j)]);
      };
      const double r = at(gates), z = at(gates, 1), candidate = at(gates, 2);
      const double dcandidate = at(dh) * (1 - z) * (1 - candidate * candidate);
      const auto near = [&](T value, double expected) {
        EXPECT_NEAR(static_cast<double>(value), expected, 8 * tolerance::epsilon<T> * (1 + std::abs(expected)));
      };
      near(dgates.data()[j], dcandidate * at(share) * r * (1 - r));
      near(dgates.data()[n + j], at(dh) * (at(before) - candidate) * z * (1 - z));
      near(dgates.data()[2 * n + j], dcandidate);
      near(drecurrent.data()[j], dcandidate * at(share) * r * (1 - r));
      near(drecurrent.data()[n + j], at(dh) * (at(before) - candidate) * z * (1 - z));
      near(drecurrent.data()[2 * n + j], dcandidate * r);
      near(state.data()[j], at(dh) * z);
    }
    EXPECT_TRUE(dgates.untouched_outside() && drecurrent.untouched_outside() && state.untouched_outside());
  });
}
