// SPDX-License-Identifier: MIT

#include <eigenformer/core/tokens.hpp>

#include <gtest/gtest.h>

#include <type_traits>

namespace ef = eigenformer;
using Token = ef::TokensView::Token;

static_assert(std::is_convertible_v<const ef::Tensor<Token, 2>&, ef::TokensView>);
static_assert(std::is_convertible_v<const std::vector<Token>&, ef::TokensView>);
static_assert(!std::is_convertible_v<const ef::Tensor<float, 2>&, ef::TokensView>);

TEST(Tokens, see_tensors_maps_spans_and_lists_in_place) {
  ef::Tensor<Token, 2> tokens(2, 3);
  tokens.setValues({{1, 2, 3}, {4, 5, 6}});
  const ef::TokensView view = tokens;
  EXPECT_EQ(view.data(), tokens.data());
  EXPECT_EQ(view.shape(), ef::Shape({2, 3}));
  EXPECT_EQ(view[5], 6);
  EXPECT_EQ(view.values().size(), 6U);
  const Eigen::TensorMap<const ef::Tensor<Token, 1>> map(tokens.data(), 6);
  const Eigen::TensorMap<Eigen::Tensor<Token, 2, Eigen::RowMajor>> theirs(tokens.data(), 2, 3);
  EXPECT_EQ(ef::TokensView(theirs).shape(), ef::Shape({2, 3}));
  EXPECT_EQ(ef::TokensView(map).shape(), ef::Shape({6}));
  const std::vector<Token> list = {7, 8};
  EXPECT_EQ(ef::TokensView(list)[1], 8);
  EXPECT_EQ(ef::TokensView(std::span<const Token>()).size(), 0);
  const ef::Tensor<Token, 0> one;
  EXPECT_EQ(ef::TokensView(one).size(), 1);
}
