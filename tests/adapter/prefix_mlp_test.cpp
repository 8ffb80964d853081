// SPDX-License-Identifier: MIT
#include <eigenformer/adapter/prefix_mlp.hpp>

#include <eigenformer/adapter/prefixes_of.hpp>
#include <eigenformer/attention/multi_query_attention.hpp>

#include "adapter/prefix_case.hpp"
#include "support/allocation.hpp"

#include <cmath>

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using prefix_test::normal;

template <class T>
using Attention = ef::Prefixed<ef::MultiQueryAttention<T>>;

/// Two attentions of different widths, one after the other.
template <class T>
struct Model : ef::Block<Model<T>> {
  struct Cache {
    typename Attention<T>::Cache first, second;
  };

  Model()
      : first({.dim = 21, .heads = 3, .head_dim = 5, .value_dim = 7}, ef::Random(1)),
        second({.dim = 21, .heads = 2, .head_dim = 11}, ef::Random(2)) {
    first.prefix = first.own_prefix(4, ef::Random(3));
    second.prefix = second.own_prefix(4, ef::Random(4));
  }

  void forward(const ef::Tensor<T, 3>& x, ef::Tensor<T, 3>& y, ef::Context& context, Cache* cache = nullptr) const {
    first.forward(x, y, ef::Causal{}, context, cache ? &cache->first : nullptr);
    second.forward(y, y, ef::Causal{}, context, cache ? &cache->second : nullptr);
  }
  void backward(const ef::Tensor<T, 3>& dy, const Cache& cache, ef::Tensor<T, 3>& dx, ef::Context& context) {
    second.backward(dy, cache.second, dx, context);
    first.backward(dx, cache.first, dx, context);
  }
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("second", self.second);
  }

  Attention<T> first, second;
};
constexpr Index width = 5 + 7 + 11 + 11;

template <class T>
ef::PrefixMlp<T> some_mlp() {
  return {{.length = 4, .dim = 13, .hidden = 17, .out_features = width}, ef::Random(5)};
}

template <class T>
class PrefixMlp : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(PrefixMlp, Scalars);

/// In double, from the formula.
TYPED_TEST(PrefixMlp, writes_keys_and_values_of_each_layer_in_turn) {
  using T = TypeParam;
  Model<T> model;
  const auto mlp = some_mlp<T>();
  ef::Context context;
  const auto prefixes = ef::prefixes_of<T>(model);
  mlp.forward(prefixes, context);
  ef::Matrix<double> expected(4, width), actual(4, width);
  for (Index n = 0; n < 4; ++n) {
    for (Index o = 0; o < width; ++o) {
      double sum = double(mlp.up.bias->value[o]);
      for (Index h = 0; h < 17; ++h) {
        double hidden = double(mlp.down.bias->value[h]);
        for (Index d = 0; d < 13; ++d) {
          hidden += double(mlp.down.weight.value(h, d)) * double(mlp.embedding.value(n, d));
        }
        sum += double(mlp.up.weight.value(o, h)) * std::tanh(hidden);
      }
      expected(n, o) = sum;
    }
    for (Index d = 0; d < 5; ++d) actual(n, d) = double(model.first.prefix.keys.value(n, 0, d));
    for (Index d = 0; d < 7; ++d) actual(n, 5 + d) = double(model.first.prefix.values.value(n, 0, d));
    for (Index d = 0; d < 11; ++d) actual(n, 12 + d) = double(model.second.prefix.keys.value(n, 0, d));
    for (Index d = 0; d < 11; ++d) actual(n, 23 + d) = double(model.second.prefix.values.value(n, 0, d));
  }
  EXPECT_TRUE(support::within(support::worst_row_nmse(actual, expected, width), tolerance::gemm_row_nmse<T>));
}

TYPED_TEST(PrefixMlp, folds_away_without_a_change) {
  using T = TypeParam;
  Model<T> model;
  const auto x = normal<T>(2, 7, 21, 6);
  ef::Tensor<T, 3> y(x.dimensions()), folded(x.dimensions());
  ef::Context context;
  {
    const auto mlp = some_mlp<T>();
    typename ef::PrefixMlp<T>::Cache cache;
    mlp.forward(ef::prefixes_of<T>(model), context, &cache);
    model.forward(x, y, context);
    Model<T> other;
    mlp.fold(ef::prefixes_of<T>(other), context);
    model = other;
  }
  model.forward(x, folded, context);
  EXPECT_TRUE(support::bit_equal(folded, y));
}

TEST(PrefixMlp, gradients_through_a_model_match_differences) {
  Model<double> model;
  auto mlp = some_mlp<double>();
  const auto x = normal<double>(2, 7, 21, 6), dy = normal<double>(2, 7, 21, 7);
  const auto prefixes = ef::prefixes_of<double>(model);
  ef::Tensor<double, 3> y(x.dimensions()), dx(x.dimensions());
  ef::Context context;
  ef::PrefixMlp<double>::Cache of_mlp;
  Model<double>::Cache of_model;
  ef::set_training(model, ef::Training::frozen);
  for (ef::Prefix<double>* prefix : prefixes) prefix->keys.trainable = prefix->values.trainable = true;
  const auto step = [&] {
    mlp.forward(prefixes, context, &of_mlp);
    model.forward(x, y, context, &of_model);
    model.backward(dy, of_model, dx, context);
    mlp.backward(prefixes, of_mlp, context);
  };
  step();
  step();  // as if the batch were twice as large
  for (ef::Prefix<double>* prefix : prefixes) {
    for (const double gradient : prefix->keys.gradients()) ASSERT_EQ(gradient, 0);
  }
  const auto loss = [&] {
    mlp.forward(prefixes, context);
    model.forward(x, y, context);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += 2 * y.data()[i] * dy.data()[i];
    return sum;
  };
  mlp.visit_parameters([&](const ef::Name& name, auto& parameter) {
    ASSERT_EQ(parameter.gradient.size(), parameter.value.size()) << name;
    for (Index i = 0; i < parameter.size(); i += 5) {
      double& number = parameter.value.data()[i];
      const double before = number;
      number = before + tolerance::difference_step;
      const double above = loss();
      number = before - tolerance::difference_step;
      const double slope = (above - loss()) / (2 * tolerance::difference_step);
      number = before;
      EXPECT_NEAR(parameter.gradient.data()[i], slope,
                  tolerance::difference_abs + tolerance::difference_rel * std::abs(slope))
          << name << ' ' << i;
    }
  });
}

TEST(PrefixMlp, names_its_parameters_as_peft_does) {
  std::string names;
  some_mlp<float>().visit_parameters([&](const ef::Name& name, const auto&) { names += name.str() + " "; });
  EXPECT_EQ(names, "embedding.weight transform.0.weight transform.0.bias transform.2.weight transform.2.bias ");
}

TEST(PrefixMlpGolden, equals_peft) {
  const support::Golden golden("prefix_mlp_2layers");
  ef::Linear<double> down(golden.matrix<double>("transform.0.weight"), golden.vector<double>("transform.0.bias"));
  ef::Linear<double> up(golden.matrix<double>("transform.2.weight"), golden.vector<double>("transform.2.bias"));
  ef::PrefixMlp<double> mlp(golden.matrix<double>("embedding.weight"), down, up);
  prefix_test::GoldenLayer first(golden, 0), second(golden, 1);
  const std::vector<ef::Prefix<double>*> prefixes = {&first.attention.prefix, &second.attention.prefix};
  ef::Context context;
  ef::PrefixMlp<double>::Cache cache;
  mlp.forward(prefixes, context, &cache);
  const auto past = golden.tensor<double, 5>("past_key_values");  // [layers, 2, H, P, D]
  for (Index l = 0; l < 2; ++l) {
    const auto& prefix = *prefixes[static_cast<std::size_t>(l)];
    for (Index n = 0; n < 6; ++n) {
      for (Index h = 0; h < 4; ++h) {
        for (Index d = 0; d < 8; ++d) {
          EXPECT_NEAR(prefix.keys.value(n, h, d), past(l, 0, h, n, d), tolerance::pytorch_abs<double>);
          EXPECT_NEAR(prefix.values.value(n, h, d), past(l, 1, h, n, d), tolerance::pytorch_abs<double>);
        }
      }
    }
  }
  first.expect_golden();
  second.expect_golden();
  mlp.backward(prefixes, cache, context);
  const double limit = 10 * tolerance::pytorch_rel<float>;  // gradients are stored in float32
  mlp.visit_parameters([&](const ef::Name& name, const auto& parameter) {
    EXPECT_TRUE(support::within(
        support::mixed_error(parameter.gradient, golden.values<double>("grad." + name.str()), limit, limit), 1))
        << name;
  });
}

TEST(PrefixMlp, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  Model<float> model;
  auto mlp = some_mlp<float>();
  const auto x = normal<float>(2, 7, 21, 6);
  const auto prefixes = ef::prefixes_of<float>(model);
  ef::Tensor<float, 3> y(x.dimensions()), dx(x.dimensions());
  ef::Context context;
  ef::PrefixMlp<float>::Cache of_mlp;
  Model<float>::Cache of_model;
  const auto step = [&] {
    mlp.forward(prefixes, context, &of_mlp);
    model.forward(x, y, context, &of_model);
    model.backward(y, of_model, dx, context);
    mlp.backward(prefixes, of_mlp, context);
  };
  step();
  EXPECT_EQ(support::allocations_during(step), 0U);
}

TEST(PrefixMlp, refuses_what_does_not_fit_and_writes_nothing) {
  using Mlp = ef::PrefixMlp<float>;
  EXPECT_THROW(Mlp({.length = -1, .dim = 3, .out_features = 5}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Mlp({.length = 2, .dim = 0, .out_features = 5}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Mlp({.length = 2, .dim = 3, .hidden = 0, .out_features = 5}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Mlp({.length = 2, .dim = 3}, ef::Random(1)), ef::OptionError);
  Model<float> model;
  const ef::Tensor<float, 3> before = model.first.prefix.keys.value;
  auto mlp = some_mlp<float>();
  EXPECT_THROW(Mlp(ef::Matrix<float>(4, 12), mlp.down, mlp.up), ef::ShapeError);
  ef::Context context;
  Mlp::Cache cache;
  auto prefixes = ef::prefixes_of<float>(model);
  mlp.forward(prefixes, context, &cache);
  EXPECT_THROW(mlp.backward(prefixes, cache, context), ef::ValueError);  // no gradients yet
  EXPECT_THROW(mlp.backward(ef::Matrix<float>(3, width), cache, context), ef::ShapeError);
  EXPECT_THROW(mlp.backward(ef::Matrix<float>(4, width), Mlp::Cache(), context), ef::Error);
  EXPECT_EQ(mlp.embedding.gradient.size() + mlp.up.weight.gradient.size(), 0);
  model.first.prefix.keys.value = before;
  prefixes.pop_back();
  EXPECT_THROW(mlp.forward(prefixes, context), ef::ShapeError);
  prefixes = ef::prefixes_of<float>(model);
  model.second.prefix = model.second.own_prefix(3, ef::Random(1));
  EXPECT_THROW(mlp.forward(prefixes, context), ef::ShapeError);
  EXPECT_TRUE(support::bit_equal(model.first.prefix.keys.value, before));
}

}  // namespace
