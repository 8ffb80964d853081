// SPDX-License-Identifier: MIT
// Rows looked up in a vocabulary, and their gradients added to it.

#include <eigenformer/linear/embedding.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

namespace {

using namespace bench;

class Lookup {
 public:
  explicit Lookup(const grid::Lookup& size)
      : embedding_(random_matrix(size.vocabulary, size.features, 1)),
        ids_(static_cast<std::size_t>(size.tokens)),
        y_(size.tokens, size.features) {
    ef::Random random(2);
    for (auto& id : ids_) id = static_cast<ef::TokensView::Token>(random.index(size.vocabulary));
  }

  void forward(ef::Context& context) { embedding_.forward(ids_, y_, context); }
  void forward_by_eigen() {
    for (Index n = 0; n < y_.rows(); ++n) y_.row(n) = embedding_.weight.value.row(ids_[std::size_t(n)]);
  }

  Error error() const {
    Doubles expected(y_.rows(), y_.cols());
    for (Index n = 0; n < y_.rows(); ++n) {
      expected.row(n) = embedding_.weight.value.row(ids_[std::size_t(n)]).cast<double>();
    }
    return compare(y_, expected, 0.0);
  }

 protected:
  ef::Embedding<float> embedding_;
  std::vector<ef::TokensView::Token> ids_;
  ef::Matrix<float> y_;
};

class LookupBackward : public Lookup {
 public:
  explicit LookupBackward(const grid::Lookup& size) : Lookup(size), dy_(random_matrix(size.tokens, size.features, 3)) {
    ef::Context context;
    embedding_.forward(ids_, y_, context, &cache_);
    start();
  }

  void start() { embedding_.weight.accumulated_gradient().setZero(); }
  void backward(ef::Context& context) { embedding_.backward(dy_, cache_, context); }
  void backward_by_eigen() {
    for (Index n = 0; n < dy_.rows(); ++n) embedding_.weight.gradient.row(ids_[std::size_t(n)]) += dy_.row(n);
  }

  /// A token that comes k times has a sum of k numbers, whose roundings are at most k epsilon of their magnitudes.
  Error error() const {
    const ef::Matrix<float>& gradient = embedding_.weight.gradient;
    Doubles expected = Doubles::Zero(gradient.rows(), gradient.cols());
    Doubles magnitudes = expected;
    Eigen::VectorXd times = Eigen::VectorXd::Zero(gradient.rows());
    for (Index n = 0; n < dy_.rows(); ++n) {
      const Index id = ids_[std::size_t(n)];
      expected.row(id) += dy_.row(n).cast<double>();
      magnitudes.row(id) += dy_.row(n).cast<double>().cwiseAbs();
      times[id] += 1;
    }
    return compare(gradient, expected, epsilon * (times.asDiagonal() * magnitudes));
  }

 private:
  ef::Embedding<float>::Cache cache_;
  ef::Matrix<float> dy_;
};

const bool planned = [] {
  for (const grid::Lookup& size : grid::lookups) {
    const double rows = bytes(size.tokens * size.features);
    Work work = {.name = "embedding",
                 .shape = size.shape(),
                 .cost = {0, rows, rows},
                 .dimensions = {size.tokens, size.vocabulary, size.features}};
    Entry<Lookup>(work, size).ours(&Lookup::forward, one_and_two_threads()).eigen(&Lookup::forward_by_eigen);
    work.name = "embedding backward";
    work.cost = {0, 2 * rows, rows};
    work.dimensions.clear();
    Entry<LookupBackward>(work, size)
        .ours(&LookupBackward::backward, one_and_two_threads())
        .eigen(&LookupBackward::backward_by_eigen);
  }
  return true;
}();

}  // namespace
