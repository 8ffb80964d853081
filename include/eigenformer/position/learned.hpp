#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/core/random.hpp>

#include <concepts>

namespace eigenformer::inline EIGENFORMER_ABI {

struct LearnedPositionsOptions {
  Index max_length = 0;
  Index dim = 0;
  double deviation = 0.02;  ///< of the initial table, which is normal; BERT's and GPT-2's choice
};

/// y_bl = x_bl + table_l.   x, y: [B, L, D], which may be the same    table: [L, D]
template <class T>
void add_positions(ConstTensorView<T, 3> x, ConstRowsView<T> table, TensorView<T, 3> y, Context& context) {
  const Index length = table.rows();
  const Index dim = table.features();
  context.parallel_for(x.dimension(0) * length, static_cast<double>(x.size()), [&](Index n) {
    Eigen::Map<Vector<T>>(y.data() + n * dim, dim) =
        Eigen::Map<const Vector<T>>(x.data() + n * dim, dim) + table.row(n % length).transpose();
  });
}

/// dtable_l += sum_b dy_bl, b in order.   dy: [B, L, D]    dtable: [L, D]
template <class T>
void add_positions_backward(ConstTensorView<T, 3> dy, RowsView<T> dtable, Context& context) {
  const Index length = dtable.rows();
  const Index dim = dtable.features();
  context.parallel_for(length, static_cast<double>(dy.size()), [&](Index l) {
    for (Index b = 0; b < dy.dimension(0); ++b) {
      dtable.row(l) += Eigen::Map<const Vector<T>>(dy.data() + (b * length + l) * dim, dim).transpose();
    }
  });
}

/// Adds a trained vector for each position (Gehring et al. 2017, "Convolutional Sequence to Sequence Learning"; BERT,
/// GPT-2).
///   forward:   x, y [batch, length, D], row l at position start + l; y may be x
///   backward:  dx = dy,  dtable[start + l] += sum_b dy_bl
///   throws OptionError for a max_length or dim below 1, ShapeError for an x, y, dy or dx that does not fit, ValueError
///          for positions not in 0 .. max_length - 1
template <class T>
class LearnedPositions : public Block<LearnedPositions<T>> {
 public:
  using Options = LearnedPositionsOptions;
  struct Cache {
    Index start = 0;  ///< position of the first row
  };

  LearnedPositions(const LearnedPositionsOptions& options, Random random)
      : LearnedPositions(start_table(options, random)) {}
  template <std::convertible_to<Matrix<T>> Table>  // not a list in braces, as for Linear
  explicit LearnedPositions(Table given_table) : weight(Matrix<T>(std::move(given_table))) {
    require<OptionError>(weight.size() > 0, "LearnedPositions",
                         "expected a weight [max_length, dim] of at least [1, 1], got ", weight.shape());
  }

  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, Context& context, Cache* cache = nullptr) const {
    forward(x, y, 0, context, cache);
  }
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, Index start, Context& context,
               Cache* cache = nullptr) const {
    check(x.shape(), y.shape(), start, "x", "y");
    const ProfileScope profile(context, "LearnedPositions");
    add_positions<T>(x, weight.value.middleRows(start, x.dimension(1)), y, context);
    if (cache) cache->start = start;
  }

  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, Context& context) {
    check(dy.shape(), dx.shape(), cache.start, "dy", "dx");
    const ProfileScope profile(context, "LearnedPositions backward");
    if (weight.trainable) {
      auto rows = weight.accumulated_gradient().middleRows(cache.start, dy.dimension(1));
      add_positions_backward<T>(dy, rows, context);
    }
    std::copy_n(dy.data(), dy.size(), dx.data());
  }

  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }

  Parameter<T, 2> weight;  ///< [max_length, D]

 private:
  static Matrix<T> start_table(const LearnedPositionsOptions& options, Random& random) {
    require_positive(options.max_length, "LearnedPositions", "max_length");
    require_positive(options.dim, "LearnedPositions", "dim");
    Matrix<T> table(options.max_length, options.dim);
    for (T& value : std::span(table.data(), static_cast<std::size_t>(table.size()))) {
      value = static_cast<T>(options.deviation * random.normal());
    }
    return table;
  }
  void check(const Shape& x, const Shape& y, Index start, std::string_view x_name, std::string_view y_name) const {
    require_features(weight.value.cols(), x, "LearnedPositions", x_name);
    require_shape(x, y, "LearnedPositions", y_name);
    const Index max_length = weight.value.rows();
    require<ValueError>(start >= 0 && x[1] <= max_length && start <= max_length - x[1], "LearnedPositions",
                        "expected positions in 0 .. ", max_length - 1, ", got start ", start, " for ", x_name,
                        " of shape ", x);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
