// SPDX-License-Identifier: MIT

#include <eigenformer/io/dtype.hpp>

#include <gtest/gtest.h>

#include <complex>

namespace {

using namespace eigenformer;

static_assert(dtype_of<float> == Dtype::f32 && dtype_of<double> == Dtype::f64 && dtype_of<bool> == Dtype::boolean);
static_assert(dtype_of<Eigen::half> == Dtype::f16 && dtype_of<Eigen::bfloat16> == Dtype::bf16);
static_assert(StoredElement<std::int64_t> && !StoredElement<std::complex<float>> && !StoredElement<char>);

TEST(Dtype, names_and_enumerators_are_the_same_list) {
  for (std::size_t i = 0; i < dtype_table.size(); ++i) {
    EXPECT_EQ(dtype_named(dtype_table[i].name), static_cast<Dtype>(i));
  }
  EXPECT_EQ(name(Dtype::boolean), "BOOL");
  EXPECT_EQ(name(Dtype::f8_e5m2fnuz), "F8_E5M2FNUZ");
  EXPECT_EQ(name(Dtype::u64), "U64");
  EXPECT_EQ(static_cast<std::size_t>(Dtype::u64) + 1, dtype_table.size());
  EXPECT_EQ(dtype_named("f32"), std::nullopt);
  EXPECT_EQ(dtype_named(""), std::nullopt);
}

template <class T>
void expect_stored_in_its_own_size() {
  EXPECT_EQ(bits(dtype_of<T>), 8 * sizeof(T)) << name(dtype_of<T>);
}

TEST(Dtype, types_have_the_bits_of_their_dtype) {
  expect_stored_in_its_own_size<bool>();
  expect_stored_in_its_own_size<std::uint8_t>();
  expect_stored_in_its_own_size<std::int8_t>();
  expect_stored_in_its_own_size<std::int16_t>();
  expect_stored_in_its_own_size<std::uint16_t>();
  expect_stored_in_its_own_size<Eigen::half>();
  expect_stored_in_its_own_size<Eigen::bfloat16>();
  expect_stored_in_its_own_size<std::int32_t>();
  expect_stored_in_its_own_size<std::uint32_t>();
  expect_stored_in_its_own_size<float>();
  expect_stored_in_its_own_size<double>();
  expect_stored_in_its_own_size<std::int64_t>();
  expect_stored_in_its_own_size<std::uint64_t>();
}

}  // namespace
