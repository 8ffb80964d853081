// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_entry.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace {

using namespace eigenformer;

TEST(SafetensorsEntry, survives_its_compact_form) {
  constexpr std::uint64_t top = ~std::uint64_t{0};
  const std::array<Shape, 7> shapes = {Shape{},
                                       Shape{0},
                                       Shape{127},
                                       Shape{128},
                                       Shape{16383, 16384},
                                       Shape{281474976710655, 0},
                                       Shape{1, 2, 3, 4, 5, 6, 7, 8}};
  for (const Shape& shape : shapes) {
    for (const std::string name : {"n", "layers.0.weight", "\xc3\xa9"}) {
      SafetensorsEntry entry{
          .name = name, .dtype = Dtype::u64, .shape = shape, .begin = top - 5, .end = top, .position = 4294967295U};
      std::array<char, 200> memory{};
      std::copy(name.begin(), name.end(), memory.begin());
      const char* const end = detail::encode_after_name(entry, memory.data() + name.size());
      const char* in = memory.data();
      const SafetensorsEntry back = detail::decode(in);
      EXPECT_EQ(in, end);
      EXPECT_EQ(back.name, name);
      EXPECT_EQ(back.dtype, Dtype::u64);
      EXPECT_EQ(back.shape, shape);
      EXPECT_EQ(back.begin, top - 5);
      EXPECT_EQ(back.bytes(), 5U);
      EXPECT_EQ(back.position, 4294967295U);
    }
  }
}

// What the header relies on: no number takes more bytes than it has digits.
TEST(SafetensorsEntry, dimensions_take_no_more_bytes_than_digits) {
  for (unsigned shift = 0; shift < 48; ++shift) {
    for (const Index value : {(Index{1} << shift) - 1, Index{1} << shift}) {
      std::array<char, 64> memory{};
      const SafetensorsEntry entry{.name = {}, .dtype = Dtype::u8, .shape = {value}};
      const char* const end = detail::encode_after_name(entry, memory.data());
      EXPECT_LE(static_cast<std::size_t>(end - memory.data()), 23 + std::to_string(value).size()) << value;
    }
  }
}

TEST(SafetensorsEntry, products_are_checked) {
  constexpr std::uint64_t top = ~std::uint64_t{0};
  EXPECT_EQ(checked_product(top, 1), top);
  EXPECT_EQ(checked_product(top, 0), 0U);
  EXPECT_EQ(checked_product(0, top), 0U);
  EXPECT_EQ(checked_product(std::uint64_t{1} << 32, (std::uint64_t{1} << 32) - 1), 0xffffffff00000000U);
  EXPECT_EQ(checked_product(std::uint64_t{1} << 32, std::uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(checked_product(top, 2), std::nullopt);
}

}  // namespace
