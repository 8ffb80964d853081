// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/bit_weights.hpp>

#include <support/inputs.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
using ef::Index;
using kernels::Binary;
using kernels::Ternary;

namespace {

template <class Weights>
std::vector<std::int8_t> random_codes(Index count) {
  support::Generator random(static_cast<std::uint64_t>(count));
  std::vector<std::int8_t> codes;
  for (Index i = 0; i < count; ++i) {
    codes.push_back(static_cast<std::int8_t>(Weights::planes == 1 ? 2 * random.integer(2) - 1 : random.integer(3) - 1));
  }
  return codes;
}

template <class Weights>
void expect_back(Index outputs, Index inputs) {
  const std::vector<std::int8_t> codes = random_codes<Weights>(outputs * inputs);
  std::vector<std::uint8_t> packed(static_cast<std::size_t>(kernels::bit_matrix_size<Weights>(outputs, inputs)));
  kernels::pack_bits<Weights>(codes.data(), inputs, outputs, inputs, packed);
  std::vector<std::int8_t> back(codes.size());
  kernels::unpack_bits(kernels::BitMatrix<Weights>{packed.data(), outputs, inputs}, back.data(), inputs);
  EXPECT_EQ(back, codes) << outputs << " x " << inputs;
}

}  // namespace

TEST(BitWeights, come_back_from_their_packed_form) {
  int cases = 0;
  for (const Index outputs : {1, 15, 16, 17, 63, 64, 65, 129, 200}) {
    for (const Index inputs : {1, 7, 8, 9, 37}) {
      expect_back<Binary>(outputs, inputs);
      expect_back<Ternary>(outputs, inputs);
      ++cases;
    }
  }
  EXPECT_EQ(cases, 45);
}

TEST(BitWeights, lie_in_the_documented_order) {
  // Output 65 of 70 is the second of a block with room for 16; input 11 is bit 3 of the second byte.
  std::vector<std::int8_t> codes(70 * 13, -1);
  codes[65 * 13 + 11] = 1;
  std::vector<std::uint8_t> packed(static_cast<std::size_t>(kernels::bit_matrix_size<Binary>(70, 13)));
  kernels::pack_bits<Binary>(codes.data(), 13, 70, 13, packed);
  ASSERT_EQ(packed.size(), 80U * 2 + 64);
  for (std::size_t i = 0; i < packed.size(); ++i) EXPECT_EQ(packed[i], i == 64 * 2 + 16 + 1 ? 8 : 0) << i;

  codes.assign(70 * 13, -1);
  codes[65 * 13 + 11] = 0;
  codes[65 * 13 + 12] = 1;
  packed.resize(static_cast<std::size_t>(kernels::bit_matrix_size<Ternary>(70, 13)));
  kernels::pack_bits<Ternary>(codes.data(), 13, 70, 13, packed);
  ASSERT_EQ(packed.size(), 80U * 4 + 64);
  const std::size_t first = 64 * 4 + 2 * 16 + 1;  // byte of the first plane, and of the second
  for (std::size_t i = 0; i < packed.size(); ++i) {
    EXPECT_EQ(packed[i], i == first ? 8 + 16 : (i == first + 16 ? 16 : 0)) << i;
  }
}

TEST(BitWeights, take_a_thirtieth_and_a_fifteenth_of_floats) {
  for (const auto& [outputs, inputs] : {std::pair<Index, Index>(4096, 4096), {6912, 2560}, {2560, 6912}}) {
    const Index floats = 4 * outputs * inputs, scales = 4;
    EXPECT_LE(30 * (kernels::bit_matrix_size<Binary>(outputs, inputs) + scales), floats);
    EXPECT_LE(15 * (kernels::bit_matrix_size<Ternary>(outputs, inputs) + scales), floats);
  }
}

TEST(BitWeights, refuse_what_cannot_be_packed_and_write_nothing) {
  std::vector<std::uint8_t> packed(static_cast<std::size_t>(kernels::bit_matrix_size<Binary>(1, 3)), 7);
  const std::vector<std::uint8_t> before = packed;
  const std::vector<std::int8_t> ternary = {1, 0, -1}, wide = {1, 2, -1}, binary = {1, 1, -1};
  EXPECT_THROW(kernels::pack_bits<Binary>(ternary.data(), 3, 1, 3, packed), ef::ValueError);
  EXPECT_THROW(kernels::pack_bits<Binary>(wide.data(), 3, 1, 3, packed), ef::ValueError);
  EXPECT_THROW(kernels::pack_bits<Binary>(binary.data(), 3, 1, 3, {packed.data(), 5}), ef::ShapeError);
  EXPECT_EQ(packed, before);
  std::vector<std::uint8_t> planes(static_cast<std::size_t>(kernels::bit_matrix_size<Ternary>(1, 3)), 7);
  const std::vector<std::uint8_t> planes_before = planes;
  EXPECT_THROW(kernels::pack_bits<Ternary>(wide.data(), 3, 1, 3, planes), ef::ValueError);
  EXPECT_EQ(planes, planes_before);
  EXPECT_THROW(kernels::bit_matrix_size<Binary>(0, 3), ef::OptionError);
  EXPECT_THROW(kernels::bit_matrix_size<Ternary>(3, 0), ef::OptionError);
}

TEST(BitWeights, refuse_so_many_inputs_that_sums_leave_32_bits) {
  EXPECT_EQ(kernels::most_bit_inputs, 16'777'215);
  EXPECT_GT(kernels::bit_matrix_size<Binary>(1, kernels::most_bit_inputs), 0);
  EXPECT_THROW(kernels::bit_matrix_size<Binary>(1, kernels::most_bit_inputs + 1), ef::OptionError);
  EXPECT_THROW(kernels::bit_matrix_size<Ternary>(1, Index(1) << 40), ef::OptionError);
}
