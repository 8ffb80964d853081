// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ef = eigenformer;
using ef::Index;

namespace {

/// y = 2 x, and as many columns as it is told.
class Twice : public ef::Block<Twice> {
 public:
  explicit Twice(Index features) : out(features) {}
  Index output_features() const { return out; }
  void forward(ef::ConstRowsView<float> x, ef::RowsView<float> y, ef::Context& context) const {
    threads = context.threads();
    y.setZero();
    y.leftCols(1) = 2 * x.leftCols(1);
  }
  static void members(auto&, auto&&) {}
  Index out;
  mutable int threads = 0;
};

class Leaf : public ef::Block<Leaf> {
 public:
  explicit Leaf(float value) : weight(ef::Vector<float>::Constant(2, value)) {}
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
  ef::Parameter<float> weight;
  std::optional<ef::Parameter<float>> bias;
};

class Tree : public ef::Block<Tree> {
 public:
  Tree() : pair(3.0F, 4.0F) {
    layers.reserve(2);
    layers.emplace_back(1.0F);
    layers.emplace_back(2.0F);
    layers[1].bias.emplace(ef::Vector<float>::Ones(3));
  }
  static void members(auto& self, auto&& visit) {
    visit("table", self.table);
    visit("layers", self.layers);
    visit("", self.pair);
  }
  ef::Parameter<double, 2> table{ef::Matrix<double>::Zero(2, 5)};
  std::vector<Leaf> layers;
  std::tuple<Leaf, Leaf> pair;
};

template <class Model>
std::string names_of(Model& model) {
  std::string names;
  model.visit_parameters([&](const ef::Name& name, auto&) { names += name.str() + " "; });
  return names;
}

}  // namespace

TEST(Block, call_gives_an_owned_tensor_of_the_kind_of_its_argument) {
  const Twice twice(3);
  ef::Tensor<float, 3> x(2, 5, 4);
  x.setConstant(1.5F);
  const ef::Tensor<float, 3> y = twice(x);
  EXPECT_EQ(ef::shape_of(y.dimensions()), ef::Shape({2, 5, 3}));
  EXPECT_EQ(y(1, 4, 0), 3.0F);
  EXPECT_EQ(twice.threads, 1);

  const Eigen::TensorMap<const ef::Tensor<float, 2>> map(x.data(), 10, 4);
  const ef::Tensor<float, 2> from_map = twice(map);
  EXPECT_EQ(from_map.dimension(0), 10);
  const ef::Matrix<float> from_matrix = twice(ef::Matrix<float>(ef::Matrix<float>::Ones(7, 4)));
  EXPECT_EQ(from_matrix.rows(), 7);
  EXPECT_EQ(from_matrix.cols(), 3);
  const ef::Vector<float> from_vector = twice(ef::Vector<float>(ef::Vector<float>::Ones(4)));
  EXPECT_EQ(from_vector.size(), 3);
}

TEST(Block, call_takes_eigen_s_own_row_major_types) {
  const Twice twice(3);
  Eigen::Tensor<float, 3, Eigen::RowMajor> x(2, 5, 4);
  x.setConstant(1.5F);
  const ef::Tensor<float, 3> y = twice(x);
  EXPECT_EQ(y(1, 4, 0), 3.0F);
  const Eigen::TensorMap<Eigen::Tensor<float, 2, Eigen::RowMajor>> map(x.data(), 10, 4);
  EXPECT_EQ(twice(map)(9, 0), 3.0F);
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  EXPECT_EQ(twice(Matrix(Matrix::Ones(7, 4)))(6, 0), 2.0F);

  ef::Context context;
  Eigen::Tensor<float, 3, Eigen::RowMajor> written(2, 5, 3);
  twice.forward(x, written, context);
  EXPECT_EQ(written(0, 0, 0), 3.0F);
}

TEST(Block, call_uses_the_context_it_is_given) {
  const Twice twice(4);
  ef::Context context({.threads = 2});
  twice(ef::Matrix<float>(ef::Matrix<float>::Ones(1, 4)), context);
  EXPECT_EQ(twice.threads, 2);
}

TEST(Block, visits_follow_members_lists_tuples_and_what_is_there_of_the_optional) {
  Tree tree;
  const std::string expected = "table layers.0.weight layers.1.weight layers.1.bias 0.weight 1.weight ";
  EXPECT_EQ(names_of(tree), expected);
  EXPECT_EQ(names_of(std::as_const(tree)), expected);
  EXPECT_EQ(ef::parameter_count(tree), 10 + 2 + 2 + 3 + 2 + 2);
}

TEST(Block, visits_can_change_values) {
  Tree tree;
  tree.visit_parameters([](const ef::Name&, auto& parameter) {
    for (auto& value : parameter.values()) value = 9;
  });
  EXPECT_EQ(tree.table.value(1, 4), 9.0);
  EXPECT_EQ(std::get<1>(tree.pair).weight.value[1], 9.0F);
}

/// A model of which one part is stored in half precision.
struct Mixed : ef::Block<Mixed> {
  ef::Parameter<ef::Bfloat16, 2> weight{ef::Matrix<ef::Bfloat16>(2, 3)};
  ef::Parameter<float> bias{ef::Vector<float>(2)};
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

TEST(Block, parameters_in_half_precision_are_visited_and_counted_but_not_learnable) {
  Mixed mixed;
  EXPECT_EQ(names_of(mixed), "weight bias ");
  EXPECT_EQ(ef::parameter_count(mixed), 8);
  std::string names;
  const auto collect = [&](const ef::Name& name, auto&) { names += name.str() + " "; };
  ef::visit_learnable(mixed, collect);
  mixed.bias.trainable = false;
  ef::visit_learnable(std::as_const(mixed), collect);
  EXPECT_EQ(names, "bias bias ") << "frozen or not";
  ef::set_training(mixed, ef::Training::trained);
  EXPECT_TRUE(mixed.bias.trainable);
  mixed.bias.accumulated_gradient()[1] = 3;
  ef::zero_gradients(mixed);
  EXPECT_EQ(mixed.bias.gradient[1], 0.0F);
}

TEST(Block, zeroing_keeps_gradients_and_freezing_drops_them) {
  Tree tree;
  tree.table.accumulated_gradient()(0, 0) = 3;
  ef::zero_gradients(tree);
  EXPECT_EQ(tree.table.gradient.size(), 10);
  EXPECT_EQ(tree.table.gradient(0, 0), 0.0);
  EXPECT_EQ(tree.layers[0].weight.gradient.size(), 0) << "there was none";

  ef::set_training(tree, ef::Training::frozen);
  EXPECT_FALSE(tree.table.trainable || tree.layers[1].bias->trainable);
  EXPECT_EQ(tree.table.gradient.size(), 0);
  ef::set_training(tree, ef::Training::trained);
  EXPECT_TRUE(tree.table.trainable && tree.layers[1].bias->trainable);
}
