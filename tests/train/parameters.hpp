#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>

/// The least that has parameters: what optimisers, clipping and gradient checks are tried on.
template <class T>
struct MatrixAndVector : eigenformer::Block<MatrixAndVector<T>> {
  eigenformer::Parameter<T, 2> matrix;
  eigenformer::Parameter<T> vector;

  MatrixAndVector(eigenformer::Index rows, eigenformer::Index columns, eigenformer::Index size)
      : matrix(eigenformer::Matrix<T>::Ones(rows, columns)), vector(eigenformer::Vector<T>::Ones(size)) {}

  static void members(auto& self, auto&& visit) {
    visit("matrix", self.matrix);
    visit("vector", self.vector);
  }
};
