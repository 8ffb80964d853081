#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Tokens to read, in memory that someone else owns: a tensor of any rank, usually [batch, length], or a list, which is
/// one sequence [length].
class TokensView {
 public:
  using Token = std::int32_t;

  TokensView(const Token* data, const Shape& shape) : data_(data), shape_(shape) {}
  TokensView(std::span<const Token> tokens) : TokensView(tokens.data(), {static_cast<Index>(tokens.size())}) {}
  TokensView(const std::vector<Token>& tokens) : TokensView(tokens.data(), {static_cast<Index>(tokens.size())}) {}
  template <int Rank, int Options>
  requires detail::RowMajorOptions<Options> TokensView(const Eigen::Tensor<Token, Rank, Options>& tokens)
      : TokensView(tokens.data(), shape_of(tokens.dimensions())) {}
  template <int Rank, int Options>
  requires detail::RowMajorOptions<Options> TokensView(
      const Eigen::TensorMap<Eigen::Tensor<Token, Rank, Options>>& tokens)
      : TokensView(tokens.data(), shape_of(tokens.dimensions())) {}
  template <int Rank, int Options>
  requires detail::RowMajorOptions<Options> TokensView(
      const Eigen::TensorMap<const Eigen::Tensor<Token, Rank, Options>>& tokens)
      : TokensView(tokens.data(), shape_of(tokens.dimensions())) {}

  const Token* data() const { return data_; }
  Index size() const { return shape_.size(); }
  const Shape& shape() const { return shape_; }
  Token operator[](Index i) const { return data_[i]; }
  std::span<const Token> values() const { return {data_, static_cast<std::size_t>(size())}; }

 private:
  const Token* data_;
  Shape shape_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
