// SPDX-License-Identifier: MIT
// The sinks of attention: numbers that take part in the softmax without a value.
#include "attention/attention_case.hpp"

namespace attention_test {
namespace {

/// Attention with a sink is attention with one key more: whose score is the sink, and whose value is 0.
struct WithSink {
  reference::Array<double> y, dsinks;
  WithSink(const Call<double>& call, const std::vector<double>& sinks)
      : y({call.c.batch, call.c.queries, call.c.heads, call.c.value_dim}), dsinks({call.c.heads}) {
    const Case& c = call.c;
    const auto q = call.query.widened(), k = call.key.widened(), v = call.value.widened(), dy = call.dy.widened();
    const reference::AttentionOptions options = c.reference_options();
    for (Index b = 0; b < c.batch; ++b) {
      for (Index h = 0; h < c.heads; ++h) {
        for (Index s = 0; s < c.queries; ++s) {
          double sum = std::exp(sinks[static_cast<std::size_t>(h)]), dot = 0;
          std::vector<double> p(static_cast<std::size_t>(c.keys));
          for (Index t = 0; t < c.keys; ++t) {
            if (!options.mask(b, s, t)) continue;
            p[static_cast<std::size_t>(t)] = std::exp(reference::raw_score(q, k, b, s, h, t, options));
            sum += p[static_cast<std::size_t>(t)];
          }
          for (Index e = 0; e < c.value_dim; ++e) {
            for (Index t = 0; t < c.keys; ++t) {
              y(b, s, h, e) += p[static_cast<std::size_t>(t)] / sum * v(b, t, h / (c.heads / c.kv_heads), e);
            }
            dot += y(b, s, h, e) * dy(b, s, h, e);
          }
          dsinks(h) -= std::exp(sinks[static_cast<std::size_t>(h)]) / sum * dot;
        }
      }
    }
  }
};

TEST(Sinks, are_a_key_more_without_a_value) {
  for (const Masked mask : {Masked::none, Masked::causal_top_left, Masked::padding, Masked::strided}) {
    for (const Index queries : {1, 37}) {
      Case c{.batch = 3, .queries = queries, .keys = 53, .heads = 4, .kv_heads = 2, .key_dim = 7, .value_dim = 5};
      c.mask = mask;
      const std::vector<double> sinks = {-1.5, 0.25, 3, 40};
      const WithSink expected(Call<double>(c), sinks);
      for_each_instruction_set([&](ef::Context& context) {
        SCOPED_TRACE(testing::Message() << c << " " << ef::name(context.instruction_set()));
        Call<double> call(c);
        std::vector<double> dsinks(4);
        with_mask(c, [&](const auto& m) {
          ef::attention<double>({call.query.view(), call.segments(), {}, sinks},
                                {call.y.view(), call.log_sum_exp.data()}, m, {}, context);
          ef::attention_backward<double>(
              {call.query.view(), call.segments(), {}, sinks}, {call.y.view(), call.dy.view(), call.log_sum_exp.data()},
              {call.dquery.view(), call.gradients(), nullptr, dsinks.data()}, m, {}, context);
          // The same without a place for the log-sum-exp.
          Call<double> again(c);
          ef::attention<double>({again.query.view(), again.segments(), {}, sinks}, {again.y.view(), nullptr}, m, {},
                                context);
          EXPECT_EQ(again.y.values(), call.y.values());
        });
        EXPECT_TRUE(support::within(support::max_error(call.y.values(), expected.y),
                                    support::tolerance::attention_abs<double>(40, 4)));
        EXPECT_TRUE(support::within(support::max_error(dsinks, expected.dsinks),
                                    support::tolerance::attention_abs<double>(40, 200)));
      });
    }
  }
}

/// dq, dk and dv against differences of the whole.
TEST(Sinks, gradients_of_queries_are_those_of_differences) {
  const Case c{.queries = 3, .keys = 11, .heads = 2, .kv_heads = 1, .key_dim = 5, .value_dim = 3};
  const std::vector<double> sinks = {0.5, 2};
  ef::Context context;
  const auto loss = [&](Call<double>& call) {
    ef::attention<double>({call.query.view(), call.segments(), {}, sinks}, {call.y.view(), call.log_sum_exp.data()},
                          ef::NoMask{}, {}, context);
    double sum = 0;
    const std::vector<double> y = call.y.values(), dy = call.dy.values();
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  Call<double> call(c);
  loss(call);
  ef::attention_backward<double>({call.query.view(), call.segments(), {}, sinks},
                                 {call.y.view(), call.dy.view(), call.log_sum_exp.data()},
                                 {call.dquery.view(), call.gradients()}, ef::NoMask{}, {}, context);
  const auto check = [&](Heads<double> Call<double>::*input, Heads<double> Call<double>::*gradient) {
    for (Index i = 0; i < (call.*input).cells.cols(); ++i) {
      Call<double> more(c), less(c);
      (more.*input).cells(1, i) += support::tolerance::difference_step;
      (less.*input).cells(1, i) -= support::tolerance::difference_step;
      const double slope = (loss(more) - loss(less)) / (2 * support::tolerance::difference_step);
      EXPECT_NEAR((call.*gradient).cells(1, i), slope, support::tolerance::difference_abs);
    }
  };
  check(&Call<double>::query, &Call<double>::dquery);
  check(&Call<double>::key, &Call<double>::dkey);
  check(&Call<double>::value, &Call<double>::dvalue);
}

TEST(Sinks, edges) {
  const Case c{.queries = 2, .keys = 3, .heads = 2, .kv_heads = 2, .key_dim = 3, .value_dim = 2};
  ef::Context context;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Call<double> plain(c), none(c), all(c);
  plain.forward(context);
  const std::vector<double> never = {-infinity, -infinity}, always = {infinity, infinity};
  ef::attention<double>({none.query.view(), none.segments(), {}, never}, {none.y.view(), nullptr}, ef::NoMask{}, {},
                        context);
  EXPECT_EQ(none.y.values(), plain.y.values());
  ef::attention<double>({all.query.view(), all.segments(), {}, always}, {all.y.view(), nullptr}, ef::NoMask{}, {},
                        context);
  for (const double y : all.y.values()) EXPECT_EQ(y, 0);
  // Without a key and with a sink that is never taken there is no gradient, and no NaN.
  const std::array<Index, 1> no_keys = {0};
  std::vector<double> dsinks = {7, 7};
  ef::attention<double>({none.query.view(), none.segments(), {}, never}, {none.y.view(), none.log_sum_exp.data()},
                        ef::Padding{no_keys}, {}, context);
  ef::attention_backward<double>(
      {none.query.view(), none.segments(), {}, never}, {none.y.view(), none.dy.view(), none.log_sum_exp.data()},
      {none.dquery.view(), none.gradients(), nullptr, dsinks.data()}, ef::Padding{no_keys}, {}, context);
  EXPECT_EQ(dsinks, std::vector<double>(2, 0.0));
  const std::vector<double> three(3);
  EXPECT_THROW(ef::attention<double>({all.query.view(), all.segments(), {}, three}, {all.y.view(), nullptr},
                                     ef::NoMask{}, {}, context),
               ef::ShapeError);
}

}  // namespace
}  // namespace attention_test
