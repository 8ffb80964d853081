// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/low_rank.hpp>

#include <gtest/gtest.h>

#include "adapter/lora_case.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
using lora_case::normal;
using lora_case::wide;

TEST(LowRank, adds_both_products_to_what_is_there) {
  support::Generator random;
  ef::Context context;
  const ef::Matrix<float> x = normal<float>(11, 7, random);
  const ef::Matrix<float> a = normal<float>(3, 7, random);
  const ef::Matrix<float> b = normal<float>(5, 3, random);
  ef::Matrix<float> y = normal<float>(11, 5, random);
  const auto weight = reference::lora_weight(reference::Array<double>({5, 7}), wide(a), wide(b), 2.5);
  const auto expected = reference::product(wide(x), reference::transposed(weight), wide(y)).value;
  ef::Matrix<float> h(11, 3);
  ef::low_rank_down<float>(x, a, 2.5F, h, context);
  ef::low_rank_up<float>(h, b, y, context);
  EXPECT_TRUE(within(support::worst_row_nmse(y, expected, 5), support::tolerance::gemm_row_nmse<float>));

  ef::Matrix<float> sum = normal<float>(5, 7, random);
  const auto added = reference::product(wide(b), wide(a), wide(sum)).value;
  ef::add_product<float>(b, a, sum, context);
  EXPECT_TRUE(within(support::worst_row_nmse(sum, added, 7), support::tolerance::gemm_row_nmse<float>));
}

/// Ranks and numbers of rows on either side of what is multiplied turned.
TEST(LowRank, goes_down_and_back_for_every_rank) {
  support::Generator random;
  ef::Context context;
  for (const ef::Index rank : {1, 3, 8, 9, 19}) {
    for (const ef::Index rows : {1, 16, 17, 131}) {
      const ef::Matrix<float> x = normal<float>(rows, 23, random);
      const ef::Matrix<float> dy = normal<float>(rows, 29, random);
      const ef::Matrix<float> a = normal<float>(rank, 23, random);
      const ef::Matrix<float> b = normal<float>(29, rank, random);
      const reference::Array<double> none({rows, rank});
      const auto down = reference::product(wide(x), reference::transposed(wide(a)), none);
      const auto back = reference::product(wide(dy), wide(b), none);
      ef::Matrix<float> h(rows, rank), dh(rows, rank);
      ef::low_rank_down<float>(x, a, 4.0F, h, context);  // which rounds nothing
      ef::low_rank_down_backward<float>(dy, b, 4.0F, dh, context);
      h /= 4, dh /= 4;
      EXPECT_TRUE(within(support::dot_product_error(h, down.value, down.magnitude), support::tolerance::gemm_c));
      EXPECT_TRUE(within(support::dot_product_error(dh, back.value, back.magnitude), support::tolerance::gemm_c));
    }
  }
}
