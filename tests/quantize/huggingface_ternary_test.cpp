// SPDX-License-Identifier: MIT

#include <eigenformer/quantize/huggingface_ternary.hpp>

#include <gtest/gtest.h>

#include "support/golden.hpp"

namespace ef = eigenformer;
using ef::Index;

TEST(HuggingFaceTernary, unpacks_what_transformers_packed) {
  for (const char* name : {"bitlinear158_norm", "bitlinear158_nonorm_bias"}) {
    const support::Golden golden(name);
    const ef::Shape shape = golden.shape("w_q");
    const auto bytes = golden.values<std::uint8_t>("packed_hf");
    const auto expected = golden.values<std::int8_t>("w_q");
    const ef::Matrix<std::int8_t> codes = ef::unpack_huggingface_ternary(bytes, shape[0], shape[1]);
    ASSERT_EQ(codes.size(), static_cast<Index>(expected.size()));
    for (Index i = 0; i < codes.size(); ++i) ASSERT_EQ(codes.data()[i], expected[static_cast<std::size_t>(i)]) << i;
  }
}

TEST(HuggingFaceTernary, takes_any_number_of_rows) {
  // Five rows of one column: R = 2, rows 0, 2, 4 in the first byte, 1 and 3 in the second.
  const std::uint8_t bytes[] = {0 | 1 << 2 | 2 << 4, 2 | 0 << 2};
  const ef::Matrix<std::int8_t> codes = ef::unpack_huggingface_ternary(bytes, 5, 1);
  const int expected[] = {-1, 1, 0, -1, 1};
  for (Index o = 0; o < 5; ++o) EXPECT_EQ(int{codes(o, 0)}, expected[o]) << o;
}

TEST(HuggingFaceTernary, refuses_bytes_that_are_no_codes_or_do_not_fit) {
  EXPECT_THROW(ef::unpack_huggingface_ternary(std::vector<std::uint8_t>(7, 0), 5, 4), ef::ShapeError);
  EXPECT_THROW(ef::unpack_huggingface_ternary(std::vector<std::uint8_t>(8, 3), 5, 4), ef::ValueError);
  EXPECT_THROW(ef::unpack_huggingface_ternary({}, 0, 4), ef::OptionError);
}
