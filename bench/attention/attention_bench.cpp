// SPDX-License-Identifier: MIT
// Attention against what one would write over Eigen: Map<Matrix> products per head and a softmax by rows. Operations
// count the work that the mask leaves alive, 2 (d_k + d_v) for each live score, and 2.5 times that for backward;
// decoding reads each key and value once, of two bytes where they are stored in half precision, of one and a share of
// its head's scale where as Int8.

#include <eigenformer/attention/attention.hpp>
#include <eigenformer/attention/attention_backward.hpp>
#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/attention/paged_key_value_cache.hpp>
#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/position/alibi.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include <Eigen/Dense>

#include "reference/dropout.hpp"
#include "support/tolerances.hpp"

namespace {

using namespace bench;

template <class T>
using Rows = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using HeadMap = Eigen::Map<const Rows<float>, 0, Eigen::OuterStride<>>;

/// A head of a tensor [1, length, heads, head_dim] as a matrix [length, head_dim], in place.
HeadMap head_of(const ef::Tensor<float, 4>& x, Index head) {
  const Index dim = x.dimension(3);
  return {x.data() + head * dim, x.dimension(1), dim, Eigen::OuterStride<>(x.dimension(2) * dim)};
}

/// As in Mistral 7B and others, here of 256 tokens.
struct Window : ef::SlidingWindow {
  Window() : ef::SlidingWindow{255, 0} {}
};

template <class Mask>
ef::KeyRange live_keys(const grid::Attention& size, Index query) {
  return Mask{}.live_keys({1, size.queries, size.keys}, 0, query);
}

/// Turns scores into probabilities, row by row; row i of the scores is query first + i * step.
template <class Mask, class Scores>
void softmax_rows(Scores& scores, const grid::Attention& size, Index first, Index step) {
  for (Index i = 0; i < scores.rows(); ++i) {
    const ef::KeyRange live = live_keys<Mask>(size, first + i * step);
    auto row = scores.row(i).segment(live.first, live.last - live.first).array();
    row = (row - row.maxCoeff()).exp().eval();
    row /= row.sum();
    scores.row(i).head(live.first).setZero();
    scores.row(i).tail(size.keys - live.last).setZero();
  }
}

template <class Mask>
class Forward {
 public:
  explicit Forward(const grid::Attention& size)
      : size_(size),
        q_(1, size.queries, size.heads, size.head_dim),
        k_(1, size.keys, size.kv_heads, size.head_dim),
        v_(k_.dimensions()),
        y_(q_.dimensions()),
        log_sum_exp_(static_cast<std::size_t>(size.queries * size.heads)) {
    fill(q_, 1);
    fill(k_, 2);
    fill(v_, 3);
    segments_[0] = {k_, v_};
  }

  void forward(ef::Context& context) {
    ef::attention<float>({q_, segments_}, {y_, log_sum_exp_.data()}, Mask{}, {}, context);
  }

  /// The scores of a whole head in memory.
  void forward_by_eigen() {
    scores_.resize(size_.queries, size_.keys);
    const float scale = 1 / std::sqrt(static_cast<float>(size_.head_dim));
    for (Index h = 0; h < size_.heads; ++h) {
      const Index g = group_of(h);
      Eigen::Map<Rows<float>, 0, Eigen::OuterStride<>> out(y_.data() + h * size_.head_dim, size_.queries,
                                                           size_.head_dim,
                                                           Eigen::OuterStride<>(size_.heads * size_.head_dim));
      scores_.noalias() = scale * head_of(q_, h) * head_of(k_, g).transpose();
      softmax_rows<Mask>(scores_, size_, 0, 1);
      out.noalias() = scores_ * head_of(v_, g);
    }
  }

  /// Decoding one token: the heads that share a key/value head in one product.
  void decode_by_eigen() {
    const Index group = size_.heads / size_.kv_heads;
    const float scale = 1 / std::sqrt(static_cast<float>(size_.head_dim));
    for (Index g = 0; g < size_.kv_heads; ++g) {
      const Eigen::Map<const Rows<float>> q(q_.data() + g * group * size_.head_dim, group, size_.head_dim);
      Eigen::Map<Rows<float>> out(y_.data() + g * group * size_.head_dim, group, size_.head_dim);
      scores_.noalias() = scale * q * head_of(k_, g).transpose();
      softmax_rows<ef::NoMask>(scores_, size_, 0, 1);
      out.noalias() = scores_ * head_of(v_, g);
    }
  }

  /// Of long sequences every 61st query, and the last, so that looking does not take longer than timing.
  Error error() const {
    const Index step = size_.queries <= 512 ? 1 : 61;
    const Index first = (size_.queries - 1) % step;
    const std::vector<Exact>& exact = exact_([&] { return answers(first, step); });
    Error result{0, true};
    for (Index h = 0; h < size_.heads; ++h) {
      const Exact& head = exact[static_cast<std::size_t>(h)];
      const auto actual = head_of(y_, h)(Eigen::seqN(first, head.numbers.rows(), step), Eigen::all);
      result = worse(result, compare(actual, head.numbers, head.tolerance));
    }
    return result;
  }

 protected:
  Index group_of(Index head) const { return head / (size_.heads / size_.kv_heads); }

  /// Of every head, for some queries.
  std::vector<Exact> answers(Index first, Index step) const {
    std::vector<Exact> result;
    for (Index h = 0; h < size_.heads; ++h) {
      Doubles scores = this->scores(h, first, step);
      const double largest_logit = scores.cwiseAbs().maxCoeff();
      softmax_rows<Mask>(scores, size_, first, step);
      const double kept = drop(scores, h, first, step);
      const Doubles v = head_of(v_, group_of(h)).template cast<double>();
      const double allowed = support::tolerance::attention_abs<float>(largest_logit, kept * v.cwiseAbs().maxCoeff());
      result.push_back({scores * v, Doubles::Constant(scores.rows(), v.cols(), allowed)});
    }
    return result;
  }

  /// What dropout makes of the weights of some queries; returns what it multiplies those by that it keeps.
  virtual double drop(Doubles&, Index, Index, Index) const { return 1; }

  /// Scaled scores of some queries of a head, in double.
  virtual Doubles scores(Index head, Index first, Index step) const {
    const Index count = (size_.queries - 1 - first) / step + 1;
    const Doubles q = head_of(q_, head)(Eigen::seqN(first, count, step), Eigen::all).template cast<double>();
    const Doubles k = head_of(k_, group_of(head)).template cast<double>();
    return q * k.transpose() / std::sqrt(static_cast<double>(size_.head_dim));
  }

  grid::Attention size_;
  ef::Tensor<float, 4> q_, k_, v_, y_;
  std::vector<float> log_sum_exp_;
  ef::KeyValueSegment<float> segments_[1];
  Rows<float> scores_;
  Once<std::vector<Exact>> exact_;
};

/// Causal with ALiBi's biases, which are made beforehand.
class WithAlibi : public Forward<ef::Causal> {
 public:
  explicit WithAlibi(const grid::Attention& size) : Forward<ef::Causal>(size) {
    const Index distances = size.queries + size.keys - 1;
    biases_.resize(static_cast<std::size_t>(size.heads * distances));
    ef::Alibi({.heads = size.heads}).distance_biases(1 - size.keys, distances, biases_.data());
  }

  void forward_biased(ef::Context& context) {
    const auto bias = ef::ScoreBias<float>::by_distance(biases_.data(), size_.heads, size_.queries, size_.keys);
    ef::attention<float>({q_, segments_, bias}, {y_, log_sum_exp_.data()}, ef::Causal{}, {}, context);
  }

 private:
  Doubles scores(Index head, Index first, Index step) const override {
    Doubles result = Forward<ef::Causal>::scores(head, first, step);
    for (Index i = 0; i < result.rows(); ++i) {
      for (Index t = 0; t < result.cols(); ++t) {
        const Index distance = t - (first + i * step) + size_.queries - 1;
        result(i, t) +=
            static_cast<double>(biases_[static_cast<std::size_t>(head * (size_.queries + size_.keys - 1) + distance)]);
      }
    }
    return result;
  }

  std::vector<float> biases_;
};

/// Training with dropout of one weight in ten.
class WithDropout : public Forward<ef::Causal> {
 public:
  using Forward<ef::Causal>::Forward;

  void forward_dropping(ef::Context& context) {
    ef::attention<float>({q_, segments_}, {y_, log_sum_exp_.data()}, ef::Causal{}, {.dropout = dropout}, context);
  }

 private:
  static constexpr ef::Dropout dropout = {.rate = 0.1, .seed = 17};

  double drop(Doubles& weights, Index head, Index first, Index step) const override {
    const auto index = [](Index i) { return static_cast<std::uint64_t>(i); };
    for (Index i = 0; i < weights.rows(); ++i) {
      for (Index t = 0; t < weights.cols(); ++t) {
        weights(i, t) *= reference::dropout_factor(
            dropout.rate, reference::dropout_draw(dropout.seed, 0, index(head), index(first + i * step), index(t)));
      }
    }
    return 1 / (1 - dropout.rate);
  }
};

/// Decoding from a cache that stores keys and values as something else than float. What is compared with reads the same
/// numbers widened.
template <class Storage>
class StoredDecoding : public Forward<ef::Causal> {
 public:
  explicit StoredDecoding(const grid::Attention& size)
      : Forward<ef::Causal>(size), cache_({1, size.keys, size.kv_heads, size.head_dim}) {
    cache_.append(k_, v_);
    segments_[0] = cache_.segment();
    widen(segments_[0].keys, k_);
    widen(segments_[0].values, v_);
  }

 private:
  static void widen(const ef::StoredHeadsView<float>& from, ef::Tensor<float, 4>& to) {
    for (Index l = 0; l < from.length(); ++l) {
      for (Index h = 0; h < from.heads(); ++h) {
        const Storage* const head = from.at<Storage>(0, l, h);
        for (Index e = 0; e < from.head_dim(); ++e) {
          if constexpr (std::is_same_v<Storage, ef::Int8>) {
            to(0, l, h, e) = ef::widened(head[e], *from.scales().at(0, l, h));
          } else {
            to(0, l, h, e) = ef::widened<float>(head[e]);
          }
        }
      }
    }
  }

  ef::KeyValueCache<float, Storage> cache_;
};

/// Decoding a sequence that has every other page of a paged cache, so that each page is a segment.
class PagedDecoding : public Forward<ef::Causal> {
 public:
  explicit PagedDecoding(const grid::Attention& size)
      : Forward<ef::Causal>(size),
        cache_({.sequences = 2,
                .pages = 2 * size.keys / page,
                .page_length = page,
                .kv_heads = size.kv_heads,
                .head_dim = size.head_dim}) {
    const Index both[] = {cache_.add(), cache_.add()};
    for (Index first = 0; first < size.keys; first += page) {
      for (const Index sequence : both) {
        cache_.append({&sequence, 1}, ef::ConstHeadsView<float>(k_).positions(first, page),
                      ef::ConstHeadsView<float>(v_).positions(first, page));
      }
    }
    selection_ = cache_.select({both, 1});
  }

  void forward_in_pages(ef::Context& context) {
    ef::attention<float>({q_, selection_.segments, {}, {}, selection_.first_segment}, {y_, log_sum_exp_.data()},
                         ef::Causal{}, {}, context);
  }

 private:
  static constexpr Index page = 64;
  ef::PagedKeyValueCache<float> cache_;
  ef::PagedSelection<float> selection_;
};

template <class Mask>
class Backward : public Forward<Mask> {
 public:
  using Base = Forward<Mask>;

  explicit Backward(const grid::Attention& size)
      : Base(size), dy_(this->q_.dimensions()), dq_(dy_.dimensions()), dk_(dy_.dimensions()), dv_(dy_.dimensions()) {
    fill(dy_, 4);
    ef::Context context;
    this->forward(context);
    gradients_[0] = {dk_, dv_};
  }

  void backward(ef::Context& context) {
    ef::attention_backward<float>({this->q_, this->segments_}, {this->y_, dy_, this->log_sum_exp_.data()},
                                  {dq_, gradients_}, Mask{}, {}, context);
  }

  void backward_by_eigen() {
    for (Index h = 0; h < this->size_.heads; ++h) {
      gradients_of_head(head_of(this->q_, h), head_of(this->k_, h), head_of(this->v_, h), head_of(dy_, h), kept_);
      const Index dim = this->size_.head_dim;
      const auto put = [&](ef::Tensor<float, 4>& into, const Rows<float>& gradient) {
        Eigen::Map<Rows<float>, 0, Eigen::OuterStride<>>(into.data() + h * dim, gradient.rows(), dim,
                                                         Eigen::OuterStride<>(this->size_.heads * dim)) = gradient;
      };
      put(dq_, kept_.dq);
      put(dk_, kept_.dk);
      put(dv_, kept_.dv);
    }
  }

  /// Of the first and the last head, row by row to the tolerance of backward.
  Error error() const {
    Error result{0, true};
    for (const Index h : {Index(0), this->size_.heads - 1}) {
      Gradients<double> expected;
      const auto wide = [h](const ef::Tensor<float, 4>& x) -> Doubles { return head_of(x, h).template cast<double>(); };
      gradients_of_head(wide(this->q_), wide(this->k_), wide(this->v_), wide(dy_), expected);
      result = worse(result, compare_gradient(dq_, h, expected.dq));
      result = worse(result, compare_gradient(dk_, h, expected.dk));
      result = worse(result, compare_gradient(dv_, h, expected.dv));
    }
    return result;
  }

 private:
  template <class T>
  struct Gradients {
    Rows<T> dq, dk, dv, p, ds;
  };

  template <class Matrix, class T>
  void gradients_of_head(const Matrix& q, const Matrix& k, const Matrix& v, const Matrix& dy,
                         Gradients<T>& into) const {
    const T scale = 1 / std::sqrt(static_cast<T>(this->size_.head_dim));
    into.p.noalias() = scale * q * k.transpose();
    softmax_rows<Mask>(into.p, this->size_, 0, 1);
    into.dv.noalias() = into.p.transpose() * dy;
    into.ds.noalias() = dy * v.transpose();
    for (Index s = 0; s < into.ds.rows(); ++s) {
      const T delta = into.ds.row(s).dot(into.p.row(s));
      into.ds.row(s) = into.p.row(s).array() * (into.ds.row(s).array() - delta);
    }
    into.dq.noalias() = scale * into.ds * k;
    into.dk.noalias() = scale * into.ds.transpose() * q;
  }

  static Error compare_gradient(const ef::Tensor<float, 4>& actual, Index head, const Doubles& expected) {
    const double of_row = std::sqrt(support::tolerance::backward_row_nmse<float>);
    return compare(head_of(actual, head), expected, of_row * expected.rowwise().norm().maxCoeff());
  }

  ef::Tensor<float, 4> dy_, dq_, dk_, dv_;
  ef::KeyValueGradient<float> gradients_[1];
  Gradients<float> kept_;
};

template <class Mask>
Work work_of(const std::string& name, const grid::Attention& size) {
  double live = 0;
  for (Index s = 0; s < size.queries; ++s) {
    const ef::KeyRange keys = live_keys<Mask>(size, s);
    live += static_cast<double>(keys.last - keys.first);
  }
  const Index rows = size.queries * size.heads * size.head_dim;
  const Index keys = size.keys * size.kv_heads * size.head_dim;
  const auto [queries, all_keys, heads, kv_heads, dim] = size.dimensions();
  return {.name = name,
          .shape = size.shape(),
          .cost = {4.0 * double(heads * dim) * live, bytes(rows + 2 * keys), bytes(rows)},
          .dimensions = {queries, all_keys, heads, kv_heads, dim},
          .slow = queries > 512};
}

template <class Mask>
void plan_forward(const std::string& name, const grid::Attention& size) {
  Work work = work_of<Mask>(name, size);
  // Where plain code takes seconds, it is left out.
  if (size.queries > 2048) work.dimensions.clear();
  Entry<Forward<Mask>> entry(work, size);
  entry.ours(&Forward<Mask>::forward, size.queries == 512 ? every_set(one_and_two_threads()) : one_and_two_threads());
  if (size.queries <= 2048) entry.eigen(&Forward<Mask>::forward_by_eigen);
}

template <class Mask>
void plan_backward(const std::string& name, const grid::Attention& size) {
  Work work = work_of<Mask>(name, size);
  work.cost.operations *= 2.5;
  work.cost.bytes_read *= 2;
  work.cost.bytes_written *= 3;
  Entry<Backward<Mask>>(work, size)
      .ours(&Backward<Mask>::backward, one_and_two_threads())
      .eigen(&Backward<Mask>::backward_by_eigen);
}

template <class Storage>
void plan_stored_decoding(const std::string& name, const grid::Attention& size) {
  Work work = work_of<ef::Causal>(name, size);
  const Index numbers = 2 * size.keys * size.kv_heads * size.head_dim;
  work.cost.bytes_read += double(numbers) * sizeof(Storage) - bytes(numbers);
  if (std::is_same_v<Storage, ef::Int8>) work.cost.bytes_read += bytes(2 * size.keys * size.kv_heads);
  if (std::is_same_v<Storage, ef::Int8>) work.dimensions.clear();  // unknown to the peers
  Entry<StoredDecoding<Storage>>(work, size)
      .ours(&StoredDecoding<Storage>::forward, one_and_two_threads())
      .eigen(&StoredDecoding<Storage>::decode_by_eigen);
}

const bool planned = [] {
  for (const grid::Attention& size : grid::attention) plan_forward<ef::NoMask>("attention", size);
  for (const grid::Attention& size : grid::causal_attention) plan_forward<ef::Causal>("causal attention", size);
  for (const grid::Attention& size : grid::masked_attention) {
    Work window = work_of<Window>("attention, window of 256", size);
    window.dimensions.clear();  // unknown to the peers
    Entry<Forward<Window>>(window, size).ours(&Forward<Window>::forward, one_and_two_threads());
    Work alibi = work_of<ef::Causal>("causal attention, ALiBi", size);
    alibi.dimensions.clear();
    Entry<WithAlibi>(alibi, size).ours(&WithAlibi::forward_biased, one_and_two_threads());
  }
  for (const grid::Attention& size : grid::attention_with_dropout) {
    Work dropout = work_of<ef::Causal>("causal attention, dropout", size);
    dropout.dimensions.clear();
    Entry<WithDropout>(dropout, size).ours(&WithDropout::forward_dropping, one_and_two_threads());
  }
  for (const grid::Attention& size : grid::attention_backward) plan_backward<ef::NoMask>("attention backward", size);
  for (const grid::Attention& size : grid::causal_attention_backward) {
    plan_backward<ef::Causal>("causal attention backward", size);
  }
  for (const grid::Attention& size : grid::decoding_attention) {
    Entry<Forward<ef::Causal>>(work_of<ef::Causal>("attention, decoding", size), size)
        .ours(&Forward<ef::Causal>::forward, one_and_two_threads())
        .eigen(&Forward<ef::Causal>::decode_by_eigen);
  }
  for (const grid::Attention& size : grid::stored_decoding_attention) {
    plan_stored_decoding<ef::Bfloat16>("attention, decoding from bfloat16", size);
    plan_stored_decoding<ef::Float16>("attention, decoding from float16", size);
    plan_stored_decoding<ef::Int8>("attention, decoding from int8", size);
    Work pages = work_of<ef::Causal>("attention, decoding from pages", size);
    pages.dimensions.clear();  // unknown to the peers
    Entry<PagedDecoding>(pages, size).ours(&PagedDecoding::forward_in_pages, one_and_two_threads());
  }
  return true;
}();

}  // namespace
