// expect-error: invalid initialization of reference|no matching function
// SPDX-License-Identifier: MIT
// Rows of a column-major matrix are not contiguous, so it does not become a view; a row-major one does.
#include <eigenformer/core/rows.hpp>

#if defined(POSITIVE)
using Features = eigenformer::Matrix<float>;
#else
using Features = Eigen::MatrixXf;
#endif

float first(const eigenformer::ConstRowsView<float>& rows) { return rows(0, 0); }
float call(const Features& features) { return first(features); }
