// SPDX-License-Identifier: MIT

#include <eigenformer/attention/offset_bias.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
using ef::Index;

TEST(OffsetBias, is_the_table_at_the_distances_down_and_across) {
  for (const Index side : {1, 2, 3, 7}) {
    std::vector<float> table(static_cast<std::size_t>(side * side));
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i + 1);
    const Index pixels = side * side;
    std::vector<float> bias(static_cast<std::size_t>(pixels * pixels));
    ef::ScratchArena arena;
    ef::offset_bias<float>(table, side, bias.data(), arena);
    for (Index from = 0; from < pixels; ++from) {
      for (Index to = 0; to < pixels; ++to) {
        const Index down = std::abs(from / side - to / side), across = std::abs(from % side - to % side);
        ASSERT_EQ(bias[static_cast<std::size_t>(from * pixels + to)],
                  table[static_cast<std::size_t>(down * side + across)])
            << side << ": " << from << " to " << to;
      }
    }
  }
}

TEST(OffsetBias, counts_offsets_as_the_published_code_does) {
  for (const char* const name : {"evit_cga_d32_h4_r5", "evit_cga_train_d16_h2_r4"}) {
    const support::Golden golden(name);
    const auto places = golden.values<std::int32_t>("attention_bias_idxs");
    const Index side = golden.parameter<std::int64_t>("resolution");
    std::vector<double> table(static_cast<std::size_t>(side * side));
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<double>(i);
    std::vector<double> bias(places.size());
    ef::ScratchArena arena;
    ef::offset_bias<double>(table, side, bias.data(), arena);
    EXPECT_TRUE(support::bit_equal(bias, std::vector<double>(places.begin(), places.end())));
  }
}

TEST(OffsetBias, backward_adds_what_forward_spread) {
  support::Generator random(81);
  constexpr Index side = 5, pixels = side * side;
  const auto dbias = support::normal<float>(pixels * pixels, random);
  std::vector<float> dtable(pixels, 2.0F);
  ef::ScratchArena arena;
  ef::offset_bias_backward<float>(dbias.data(), side, dtable, arena);
  for (Index i = 0; i < pixels; ++i) {  // the gradient of one number is what its unit table picks out
    std::vector<double> unit(pixels), picked(pixels * pixels);
    unit[static_cast<std::size_t>(i)] = 1;
    ef::offset_bias<double>(unit, side, picked.data(), arena);
    double expected = 2;
    for (std::size_t n = 0; n < picked.size(); ++n) expected += picked[n] * static_cast<double>(dbias[n]);
    EXPECT_NEAR(static_cast<double>(dtable[static_cast<std::size_t>(i)]), expected,
                2 * support::tolerance::epsilon<float> * (2 + std::abs(expected)));
  }
}
