#pragma once
// SPDX-License-Identifier: MIT

#include "reference/attention.hpp"
#include "reference/dropout.hpp"
#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/attention/attention.hpp>
#include <eigenformer/attention/attention_backward.hpp>
#include <eigenformer/attention/block_sparse.hpp>
#include <eigenformer/attention/both.hpp>
#include <eigenformer/attention/explicit_mask.hpp>
#include <eigenformer/attention/packed.hpp>
#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/attention/strided.hpp>

#include <memory>
#include <ostream>

namespace attention_test {

namespace ef = eigenformer;
using ef::Index;

enum class Masked {
  none,
  causal,
  causal_top_left,
  padding,
  window,
  banded,
  strided,
  strided_local,
  packed,
  packed_causal,
  packed_strided,
  blocks,
  table,
  causal_table,
  window_padding
};
inline constexpr std::array masked_names = {"none",
                                            "causal",
                                            "causal top-left",
                                            "padding",
                                            "window",
                                            "banded",
                                            "strided",
                                            "strided + local",
                                            "packed",
                                            "packed causal",
                                            "packed strided",
                                            "block sparse",
                                            "explicit",
                                            "causal and explicit",
                                            "window and padding"};
inline constexpr Index mask_count = static_cast<Index>(masked_names.size());

inline bool needs_one_batch(Masked mask) {
  return mask == Masked::packed || mask == Masked::packed_causal || mask == Masked::packed_strided;
}

enum class Biased { none, by_distance, dense };

/// One call of attention: shapes, mask, segments, options, and where the tensors lie.
struct Case {
  Index batch = 1;
  Index queries = 1;
  Index keys = 1;
  Index heads = 1;
  Index kv_heads = 1;
  Index key_dim = 1;
  Index value_dim = 1;
  Masked mask = Masked::none;
  std::vector<Index> segments{};  ///< lengths of all segments but the last
  double softcap = 0;
  std::optional<double> softmax_scale{};
  double query_deviation = 1;
  Index gap = 0;     ///< elements between one position's heads and the next one's
  Index offset = 0;  ///< from a cache line
  std::uint64_t salt = 0;
  Biased bias = Biased::none;
  Index quantized = 0;  ///< how many of the first segments are stored as Int8
  double dropout = 0;   ///< of which the salt is the seed

  /// Three sequences of about the same length.
  static std::vector<Index> offsets(Index length) { return {0, length / 3, length / 2 + length / 5, length}; }
  /// Which of some scores or blocks live: about 3 of 5, in no order.
  std::vector<char> live(Index count) const {
    support::Generator random(salt + 77);
    std::vector<char> result;
    for (Index i = 0; i < count; ++i) result.push_back(random.normal() < 0.25 ? 1 : 0);
    return result;
  }
  Index block_queries() const { return queries / 4 + 1; }
  Index block_keys() const { return keys / 5 + 1; }
  static Index blocks(Index length, Index block) { return (length + block - 1) / block; }
  Index window() const { return keys / 4; }
  Index stride() const { return keys / 6 + 2; }
  Index distances() const { return queries + keys - 1; }
  /// What is added to scores: of each distance, or of each score.
  std::vector<double> biases() const {
    support::Generator random(salt + 99);
    const Index count = bias == Biased::none ? 0 : heads * (bias == Biased::dense ? queries * keys : distances());
    std::vector<double> result;
    for (Index i = 0; i < count; ++i) result.push_back(static_cast<float>(2 * random.normal()));
    return result;
  }

  /// Lengths that leave some keys of each batch, and of the last of several none.
  std::vector<Index> lengths() const {
    std::vector<Index> result;
    for (Index b = 0; b < batch; ++b) result.push_back(b > 0 && b + 1 == batch ? 0 : (keys * (b + 1) + 1) / (b + 2));
    return result;
  }
  reference::AttentionOptions reference_options() const {
    reference::AttentionOptions result;
    result.softcap = softcap;
    result.scale = softmax_scale;
    if (dropout > 0) {
      result.dropout = [rate = dropout, seed = salt](long b, long h, long s, long t) {
        const auto index = [](long i) { return static_cast<std::uint64_t>(i); };
        return reference::dropout_factor(rate, reference::dropout_draw(seed, index(b), index(h), index(s), index(t)));
      };
    }
    const std::vector<Index> some = lengths();
    switch (mask) {
      case Masked::none: break;
      case Masked::causal: result.mask = reference::causal_mask(keys - queries); break;
      case Masked::causal_top_left: result.mask = reference::causal_mask(0); break;
      case Masked::padding: result.mask = reference::padding_mask({some.begin(), some.end()}); break;
      case Masked::window: result.mask = reference::window_mask(keys - queries, window(), 2); break;
      case Masked::banded: result.mask = reference::window_mask(keys - queries, window(), 0); break;
      case Masked::strided: result.mask = reference::strided_mask(keys - queries, stride(), 0); break;
      case Masked::strided_local: result.mask = reference::strided_mask(keys - queries, stride(), 3); break;
      case Masked::packed:
        result.mask =
            reference::packed_mask(offsets(queries), offsets(keys), [](long, long, long, long) { return true; });
        break;
      case Masked::packed_causal:
        result.mask = reference::packed_mask(offsets(queries), offsets(keys), [](long s, long t, long query, long key) {
          return reference::causal_mask(t - s)(0, query, key);
        });
        break;
      case Masked::packed_strided:
        result.mask = reference::packed_mask(offsets(queries), offsets(keys), [](long s, long t, long query, long key) {
          return reference::strided_mask(t - s, 3, 2)(0, query, key);
        });
        break;
      case Masked::blocks: {
        const Index columns = blocks(keys, block_keys());
        result.mask = reference::block_mask(live(blocks(queries, block_queries()) * columns), columns, block_queries(),
                                            block_keys());
        break;
      }
      case Masked::table:
        result.mask = reference::table_mask(live(batch * queries * keys), batch, queries, keys);
        break;
      case Masked::causal_table:
        result.mask = reference::both(reference::causal_mask(keys - queries),
                                      reference::table_mask(live(queries * keys), 1, queries, keys));
        break;
      case Masked::window_padding:
        result.mask = reference::both(reference::window_mask(keys - queries, window(), -1),
                                      reference::padding_mask({some.begin(), some.end()}));
        break;
    }
    const std::vector<double> numbers = biases();
    const Index s_count = queries, t_count = keys;
    if (bias == Biased::by_distance) {
      result.bias = [=](long h, long s, long t) {
        return numbers.at(static_cast<std::size_t>(h * (s_count + t_count - 1) + t - s + s_count - 1));
      };
    }
    if (bias == Biased::dense) {
      result.bias = [=](long h, long s, long t) {
        return numbers.at(static_cast<std::size_t>((h * s_count + s) * t_count + t));
      };
    }
    return result;
  }
};

inline std::ostream& operator<<(std::ostream& out, const Case& c) {
  out << "[B " << c.batch << ", S " << c.queries << ", T " << c.keys << ", heads " << c.heads << "/" << c.kv_heads
      << ", d_k " << c.key_dim << ", d_v " << c.value_dim << ", mask " << masked_names[static_cast<std::size_t>(c.mask)]
      << ", segments before the last " << c.segments.size() << ", of Int8 " << c.quantized << ", softcap " << c.softcap
      << ", bias " << static_cast<int>(c.bias) << ", dropout " << c.dropout << "]";
  return out;
}

/// A row of bool, which a vector is not.
class Booleans {
 public:
  explicit Booleans(const std::vector<char>& values) : size_(values.size()), data_(new bool[values.size()]) {
    for (std::size_t i = 0; i < size_; ++i) data_[i] = values[i] != 0;
  }
  std::span<const bool> span() const { return {data_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<bool[]> data_;
};

/// Calls f with the mask of the case.
template <class Function>
void with_mask(const Case& c, const Function& f) {
  const std::vector<Index> lengths = c.lengths();
  const std::vector<Index> queries = Case::offsets(c.queries);
  const std::vector<Index> keys = Case::offsets(c.keys);
  switch (c.mask) {
    case Masked::none: return f(ef::NoMask{});
    case Masked::causal: return f(ef::Causal{});
    case Masked::causal_top_left: return f(ef::Causal{ef::CausalAlignment::top_left});
    case Masked::padding: return f(ef::Padding{lengths});
    case Masked::window: return f(ef::SlidingWindow{c.window(), 2});
    case Masked::banded: return f(ef::LocalBanded{c.window() + 1});
    case Masked::strided: return f(ef::Strided{c.stride()});
    case Masked::strided_local: return f(ef::Strided{c.stride(), 3});
    case Masked::packed: return f(ef::Packed<>{queries, keys});
    case Masked::packed_causal: return f(ef::Packed<ef::Causal>{queries, keys});
    case Masked::packed_strided: return f(ef::Packed<ef::Strided>{queries, keys, {3, 2}});
    case Masked::blocks: {
      const Booleans live(c.live(Case::blocks(c.queries, c.block_queries()) * Case::blocks(c.keys, c.block_keys())));
      return f(ef::BlockSparse{c.block_queries(), c.block_keys(), live.span()});
    }
    case Masked::table: {
      const Booleans live(c.live(c.batch * c.queries * c.keys));
      return f(ef::Explicit{live.span()});
    }
    case Masked::causal_table: {
      const Booleans live(c.live(c.queries * c.keys));
      return f(ef::Both{ef::Causal{}, ef::Explicit{live.span()}});
    }
    case Masked::window_padding: return f(ef::Both{ef::SlidingWindow{c.window(), -1}, ef::Padding{lengths}});
  }
}

/// A tensor [batch, length, heads, dim] inside guard cells, filled with NaN until it is written.
template <class T>
struct Heads {
  Heads(const Case& c, Index length, Index heads, Index dim)
      : shape{c.batch, length, heads, dim}, cells(c.batch * length, heads * dim, heads * dim + c.gap, c.offset) {}

  ef::HeadsView<T> view() {
    const Index stride = cells.row_stride();
    return {cells.data(), shape[0], shape[1], shape[2], shape[3], shape[1] * stride, stride, shape[3]};
  }
  std::vector<T> values() const {
    std::vector<T> result;
    for (Index r = 0; r < shape[0] * shape[1]; ++r) {
      const T* const row = cells.data() + r * cells.row_stride();
      result.insert(result.end(), row, row + shape[2] * shape[3]);
    }
    return result;
  }
  void fill(double deviation, support::Generator& random) {
    for (Index r = 0; r < cells.rows(); ++r) {
      for (Index i = 0; i < cells.cols(); ++i)
        cells(r, i) = static_cast<T>(static_cast<float>(deviation * random.normal()));
    }
  }
  template <class U = double>
  reference::Array<U> widened() const {
    return reference::widened<U>(values().data(), {shape[0], shape[1], shape[2], shape[3]});
  }

  std::array<Index, 4> shape;
  support::GuardedRows<T> cells;
};

/// The first positions of heads as Int8, and in their place the numbers that these stand for.
template <class T>
struct QuantizedHeads {
  QuantizedHeads(Heads<T>& of, Index count)
      : heads(of),
        length(count),
        codes(static_cast<std::size_t>(of.shape[0] * count * of.shape[2] * of.shape[3])),
        scales(static_cast<std::size_t>(of.shape[0] * count * of.shape[2])) {
    for_each_head([this](T* x, ef::Int8* code, T& scale) {
      scale = ef::quantize(x, heads.shape[3], code);
      for (Index e = 0; e < heads.shape[3]; ++e) x[e] = ef::widened(code[e], scale);
    });
  }
  /// A head that is no longer what it was is stored anew: tests poison some.
  ef::QuantizedHeadsView<T> view() {
    for_each_head([this](T* x, ef::Int8* code, T& scale) {
      bool as_it_was = true;
      for (Index e = 0; e < heads.shape[3]; ++e) as_it_was = as_it_was && x[e] == ef::widened(code[e], scale);
      if (!as_it_was) scale = ef::quantize(x, heads.shape[3], code);
    });
    const std::array<Index, 4>& s = heads.shape;
    return {{codes.data(), s[0], length, s[2], s[3]}, {scales.data(), s[0], length, s[2], 1}};
  }
  template <class Function>
  void for_each_head(const Function& f) {
    std::size_t head = 0;
    for (Index b = 0; b < heads.shape[0]; ++b) {
      for (Index l = 0; l < length; ++l) {
        for (Index h = 0; h < heads.shape[2]; ++h, ++head) {
          f(heads.view().at(b, l, h), codes.data() + static_cast<Index>(head) * heads.shape[3], scales[head]);
        }
      }
    }
  }

  Heads<T>& heads;
  Index length;
  std::vector<ef::Int8> codes;
  std::vector<T> scales;
};

/// Inputs, outputs and gradients of a case.
template <class T>
struct Call {
  explicit Call(const Case& chosen)
      : c(chosen),
        query(c, c.queries, c.heads, c.key_dim),
        key(c, c.keys, c.kv_heads, c.key_dim),
        value(c, c.keys, c.kv_heads, c.value_dim),
        y(c, c.queries, c.heads, c.value_dim),
        dy(c, c.queries, c.heads, c.value_dim),
        dquery(c, c.queries, c.heads, c.key_dim),
        dkey(c, c.keys, c.kv_heads, c.key_dim),
        dvalue(c, c.keys, c.kv_heads, c.value_dim),
        log_sum_exp(c.batch * c.heads * c.queries),
        dbias(c.bias == Biased::none ? 0 : static_cast<Index>(c.biases().size())) {
    for (const double number : c.biases()) biases.push_back(static_cast<T>(number));
    support::Generator random(c.salt);
    query.fill(c.query_deviation, random);
    key.fill(1, random);
    value.fill(1, random);
    dy.fill(1, random);
    if (c.quantized > 0) {
      Index count = 0, number = 0;
      for_each_segment([&](Index, Index length) { count += number++ < c.quantized ? length : 0; });
      int8_keys = std::make_unique<QuantizedHeads<T>>(key, count);
      int8_values = std::make_unique<QuantizedHeads<T>>(value, count);
    }
  }

  void forward(ef::Context& context) {
    with_mask(c, [&](const auto& mask) { forward(mask, context); });
  }
  template <class Mask>
  void forward(const Mask& mask, ef::Context& context) {
    ef::attention<T>({query.view(), segments(), bias()}, {y.view(), log_sum_exp.data()}, mask, options(), context);
  }
  void backward(ef::Context& context) {
    with_mask(c, [&](const auto& mask) { backward(mask, context); });
  }
  template <class Mask>
  void backward(const Mask& mask, ef::Context& context) {
    T* const to = c.bias == Biased::none ? nullptr : dbias.data();
    ef::attention_backward<T>({query.view(), segments(), bias()}, {y.view(), dy.view(), log_sum_exp.data()},
                              {dquery.view(), gradients(), to}, mask, options(), context);
  }

  testing::AssertionResult untouched_outside() const {
    for (const Heads<T>* tensor : {&query, &key, &value, &y, &dy, &dquery, &dkey, &dvalue}) {
      if (const auto result = tensor->cells.untouched_outside(); !result) return result;
    }
    if (const auto result = dbias.untouched_outside(); !result) return result;
    return log_sum_exp.untouched_outside();
  }

  ef::ScoreBias<T> bias() const {
    switch (c.bias) {
      case Biased::by_distance: return ef::ScoreBias<T>::by_distance(biases.data(), c.heads, c.queries, c.keys);
      case Biased::dense: return ef::ScoreBias<T>::dense(biases.data(), c.heads, c.queries, c.keys);
      default: return {};
    }
  }
  ef::AttentionOptions options() const { return {c.softmax_scale, c.softcap, {c.dropout, c.salt}}; }
  std::span<const ef::KeyValueSegment<T>> segments() {
    kept_segments.clear();
    for_each_segment([&](Index first, Index length) {
      if (static_cast<Index>(kept_segments.size()) < c.quantized) {
        const auto part = [&](const ef::QuantizedHeadsView<T>& x) -> ef::StoredHeadsView<T> {
          return ef::QuantizedHeadsView<T>{x.codes.positions(first, length), x.scales.positions(first, length)};
        };
        kept_segments.push_back({part(int8_keys->view()), part(int8_values->view())});
      } else {
        kept_segments.push_back({key.view().positions(first, length), value.view().positions(first, length)});
      }
    });
    return kept_segments;
  }
  std::span<const ef::KeyValueGradient<T>> gradients() {
    kept_gradients.clear();
    for_each_segment([&](Index first, Index length) {
      kept_gradients.push_back({dkey.view().positions(first, length), dvalue.view().positions(first, length)});
    });
    return kept_gradients;
  }
  template <class Function>
  void for_each_segment(const Function& f) const {
    Index first = 0;
    for (const Index length : c.segments) {
      f(first, length);
      first += length;
    }
    f(first, c.keys - first);
  }

  Case c;
  Heads<T> query;
  Heads<T> key;
  Heads<T> value;
  Heads<T> y;
  Heads<T> dy;
  Heads<T> dquery;
  Heads<T> dkey;
  Heads<T> dvalue;
  support::GuardedBuffer<T> log_sum_exp;
  support::GuardedBuffer<T> dbias;
  std::vector<T> biases;
  std::unique_ptr<QuantizedHeads<T>> int8_keys;
  std::unique_ptr<QuantizedHeads<T>> int8_values;
  std::vector<ef::KeyValueSegment<T>> kept_segments;
  std::vector<ef::KeyValueGradient<T>> kept_gradients;
};

/// double judges float, long double judges double.
template <class T>
using Judge = std::conditional_t<std::is_same_v<T, float>, double, long double>;

/// Length of the longest last-dimension row.
template <class T>
double longest(const reference::Array<T>& x) {
  double result = 0;
  for (long r = 0; r < x.rows(); ++r) {
    double square = 0;
    for (long i = 0; i < x.row_length(); ++i)
      square += std::pow(static_cast<double>(x.data()[r * x.row_length() + i]), 2);
    result = (std::max)(result, std::sqrt(square));
  }
  return result;
}

/// What a log-sum-exp may be off by: the error of the scores, each a dot product of at most |q| |k|, and of the sum.
template <class T>
double log_sum_exp_tolerance(const Case& c, double logit, double query_length, double key_length) {
  const double scale = c.softmax_scale.value_or(1 / std::sqrt(static_cast<double>(c.key_dim)));
  return support::tolerance::attention_abs<T>(logit, 1) +
         support::tolerance::gemm_c * support::tolerance::epsilon<T> * scale * query_length * key_length;
}

/// How many rows the row measure has judged, so that sweeps can say that it did not look away.
struct RowCount {
  std::ptrdiff_t judged = 0;
  std::ptrdiff_t all = 0;
  double share() const { return static_cast<double>(judged) / static_cast<double>(all); }
};
inline RowCount row_count;  // since the sweep set it to zero

/// The row measure, for the rows that are not nearly zero by cancellation; the others are judged by the largest error.
template <class T, class Expected>
void expect_row_nmse(const std::vector<T>& actual, const Expected& expected, double negligible, double tolerance) {
  const support::ErrorReport report = support::worst_row_nmse(actual, expected, expected.row_length(), negligible);
  row_count.judged += report.compared;
  row_count.all += expected.rows();
  if (report.compared == 0) return;
  EXPECT_TRUE(support::within(report, tolerance));
}

/// Whether two ways of computing the same have the same bits. Under -ffast-math the compiler orders the additions of
/// portable code anew in each of them.
inline bool keeps_bits([[maybe_unused]] ef::InstructionSet set) {
#if defined(__FAST_MATH__)
  return set != ef::InstructionSet::portable;
#else
  return true;
#endif
}

/// Calls f with a Context for each instruction set that this machine has.
template <class Function>
void for_each_instruction_set(const Function& f) {
  int count = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    ef::Context context({.instruction_set = set});
    f(context);
    ++count;
  }
  EXPECT_GE(count, 1);
}

/// One forward against the reference, with the limits of attention, for each instruction set. Rows shorter than
/// `negligible` of the largest value are judged by the largest error alone: an error of 1.3 eps of that value, the usual
/// one, is more than the row measure grants a row below 0.2 of it where logits are small.
template <class T>
void expect_forward(const Case& c, double negligible = 0.05) {
  const Call<T> inputs(c);
  const auto expected =
      reference::attention(inputs.query.template widened<Judge<T>>(), inputs.key.template widened<Judge<T>>(),
                           inputs.value.template widened<Judge<T>>(), c.reference_options());
  const double logit = static_cast<double>(expected.largest_logit);
  const double value = static_cast<double>(expected.largest_value);
  const double limit =
      log_sum_exp_tolerance<T>(c, logit, longest(inputs.query.widened()), longest(inputs.key.widened()));
  for_each_instruction_set([&](ef::Context& context) {
    SCOPED_TRACE(testing::Message() << c << " " << ef::name(context.instruction_set()) << " " << sizeof(T));
    Call<T> call(c);
    context.scratch().poison();
    call.forward(context);
    const std::vector<T> y = call.y.values();
    EXPECT_TRUE(
        support::within(support::max_error(y, expected.out), support::tolerance::attention_abs<T>(logit, value)));
    expect_row_nmse(y, expected.out, negligible * value, support::tolerance::attention_row_nmse<T>(logit));
    EXPECT_TRUE(support::within(support::max_error(call.log_sum_exp, expected.log_sum_exp), limit));
    EXPECT_TRUE(call.untouched_outside());
  });
}

/// `size` is what a gradient is made of before anything cancels. Rows that are small beside it, such as those of a
/// query that sees one key and so has none, are judged by the largest error only: the row measure would ask them for
/// less than one eps of it.
template <class T>
void expect_gradient(const char* name, const std::vector<T>& actual, const reference::Array<Judge<T>>& expected,
                     double logit, double size) {
  SCOPED_TRACE(name);
  if (expected.empty()) return;
  const double negligible = (std::max)(0.05 * longest(expected), 0.01 * size);
  expect_row_nmse(actual, expected, negligible, support::tolerance::backward_row_nmse<T>);
  const double largest = (std::max)(size, longest(expected));
  EXPECT_TRUE(
      support::within(support::max_error(actual, expected), support::tolerance::attention_abs<T>(logit, largest)));
}

/// The gradient of the biases: sums over the batch, and over all scores of a distance, of terms of at most `size`.
template <class T>
void expect_bias_gradient(const Call<T>& call, const reference::Array<Judge<T>>& dbias, double logit, double size) {
  const Case& c = call.c;
  if (c.bias == Biased::none) return;
  const Index columns = c.bias == Biased::dense ? c.queries * c.keys : c.distances();
  reference::Array<Judge<T>> expected({c.heads, columns});
  for (Index h = 0; h < c.heads; ++h) {
    for (Index s = 0; s < c.queries; ++s) {
      for (Index t = 0; t < c.keys; ++t) {
        expected(h, c.bias == Biased::dense ? s * c.keys + t : t - s + c.queries - 1) += dbias(h, s, t);
      }
    }
  }
  const double terms = static_cast<double>(c.batch * (c.bias == Biased::dense ? 1 : (std::min)(c.queries, c.keys)));
  EXPECT_TRUE(support::within(support::max_error(call.dbias, expected),
                              std::sqrt(terms) * support::tolerance::attention_abs<T>(logit, size)));
}

/// One backward against the reference, for each instruction set.
template <class T>
void expect_backward(const Case& c) {
  const Call<T> inputs(c);
  const auto q = inputs.query.template widened<Judge<T>>();
  const auto k = inputs.key.template widened<Judge<T>>();
  const auto v = inputs.value.template widened<Judge<T>>();
  const double logit = static_cast<double>(reference::attention(q, k, v, c.reference_options()).largest_logit);
  const double scale = c.softmax_scale.value_or(1 / std::sqrt(static_cast<double>(c.key_dim)));
  const double dvalue_size = longest(inputs.dy.widened()) / (1 - c.dropout);
  const double dscore = scale * dvalue_size * longest(inputs.value.widened());
  const double dquery_size = dscore * longest(inputs.key.widened());
  const double dkey_size = dscore * longest(inputs.query.widened());
  const auto expected =
      reference::attention_backward(q, k, v, inputs.dy.template widened<Judge<T>>(), c.reference_options());
  for_each_instruction_set([&](ef::Context& context) {
    SCOPED_TRACE(testing::Message() << c << " " << ef::name(context.instruction_set()) << " " << sizeof(T));
    Call<T> call(c);
    call.forward(context);
    context.scratch().poison();
    call.backward(context);
    expect_gradient<T>("dquery", call.dquery.values(), expected.dq, logit, dquery_size);
    expect_gradient<T>("dkey", call.dkey.values(), expected.dk, logit, dkey_size);
    expect_gradient<T>("dvalue", call.dvalue.values(), expected.dv, logit, dvalue_size);
    expect_bias_gradient(call, expected.dbias, logit, dscore / scale);
    EXPECT_TRUE(call.untouched_outside());
  });
}

/// Masks x (heads, kv_heads) x dims x lengths x segments, with softcap in some.
inline std::vector<Case> table() {
  std::vector<Case> cases;
  const std::array<std::array<Index, 2>, 5> heads = {{{1, 1}, {3, 3}, {6, 2}, {5, 1}, {10, 2}}};
  const std::array<std::array<Index, 2>, 4> dims = {{{2, 3}, {17, 5}, {13, 37}, {67, 41}}};
  const std::array<std::array<Index, 2>, 7> lengths = {
      {{1, 1}, {1, 61}, {7, 3}, {3, 71}, {29, 31}, {43, 131}, {67, 19}}};
  std::uint64_t salt = 0;
  for (const Masked mask : {Masked::none, Masked::causal, Masked::causal_top_left, Masked::padding}) {
    for (const auto& [h, g] : heads) {
      for (const auto& [dk, dv] : dims) {
        for (const auto& [s, t] : lengths) {
          for (const int cut : {0, 1, 2}) {
            Case c{.batch = mask == Masked::padding ? 2 : 1,
                   .queries = s,
                   .keys = t,
                   .heads = h,
                   .kv_heads = g,
                   .key_dim = dk,
                   .value_dim = dv};
            c.mask = mask;
            if (cut == 1) c.segments = {t / 3};
            if (cut == 2) c.segments = {0, t / 2, t - t / 2};
            c.softcap = salt % 5 == 0 ? 1.7 : 0;
            if (salt % 7 == 0) c.softmax_scale = 0.31;
            c.gap = static_cast<Index>(salt % 3);
            c.offset = static_cast<Index>(salt % 16);
            c.salt = salt++;
            cases.push_back(c);
          }
        }
      }
    }
  }
  return cases;
}

}  // namespace attention_test
