// SPDX-License-Identifier: MIT
// A compact test of attention that must fail for each of the eight seeded bugs (SEEDED_BUG=1..8 in the environment; 0 is
// none): the power of the tolerances is itself tested. Exit code 0 means that nothing was found.

#include <cstdlib>

static int chosen_bug() {
  const char* const number = std::getenv("SEEDED_BUG");
  if (number == nullptr) std::abort();
  return std::atoi(number);
}
#define EIGENFORMER_SEEDED_BUG chosen_bug()

#include "attention/attention_case.hpp"

namespace attention_test {

class SeededBug : public testing::TestWithParam<Masked> {};

TEST_P(SeededBug, is_caught_by_the_limits_of_attention) {
  for (const Index s : {1, 3, 61}) {
    for (const Index t : {61, 131}) {
      // Rows of many keys have weights below 1e-4 only if the scores spread.
      for (const double deviation : {1.0, 3.0}) {
        Case c{.batch = 1, .queries = s, .keys = t, .heads = 4, .kv_heads = 2, .key_dim = 17, .value_dim = 13};
        c.mask = GetParam();
        c.query_deviation = deviation;
        expect_forward<float>(c);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Masks, SeededBug, testing::Values(Masked::none, Masked::causal));

}  // namespace attention_test
