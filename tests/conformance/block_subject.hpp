#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/core/tokens.hpp>
#include <eigenformer/io/checkpoint.hpp>

#include <optional>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "conformance/subject.hpp"

namespace conformance {

/// What a block reads: numbers in rows of `features`.
struct Features {
  Index features;
};
/// What a block reads: tokens. The tests hand them over as numbers.
struct Tokens {
  Index vocabulary;
};
/// What a block reads: images of any height and this width; a row of one is what the tests take for a position.
struct Images {
  Index width, channels;
};
/// What a block reads: square windows, each of which the tests take for a position.
struct Windows {
  Index side, channels;
};

/// [batch, length, features] in memory as the tensor that a block with such an input reads or writes, whose last dimension
/// is `wider` channels more than it should be. View: ConstTensorView or TensorView.
template <template <class, int> class View, class T, class Element>
View<T, 3> seen_as(const Features&, Element* data, Extent extent, Index features, Index wider) {
  return {data, extent.batch, extent.length, features + wider};
}
template <template <class, int> class View, class T, class Element>
View<T, 3> seen_as(const Tokens&, Element* data, Extent extent, Index features, Index wider) {
  return {data, extent.batch, extent.length, features + wider};
}
template <template <class, int> class View, class T, class Element>
View<T, 4> seen_as(const Images& images, Element* data, Extent extent, Index features, Index wider) {
  return {data, extent.batch, extent.length, images.width, features / images.width + wider};
}
template <template <class, int> class View, class T, class Element>
View<T, 4> seen_as(const Windows& windows, Element* data, Extent extent, Index features, Index wider) {
  return {data, extent.tokens(), windows.side, windows.side, features / (windows.side * windows.side) + wider};
}

inline Index features_of(const Features& input) { return input.features; }
inline Index features_of(const Tokens&) { return 1; }
inline Index features_of(const Images& input) { return input.width * input.channels; }
inline Index features_of(const Windows& input) { return input.side * input.side * input.channels; }

/// A block B as a Subject. `Extra` are the arguments of forward that stand between y and the context, such as a mask.
template <class T, class B, class Input, class... Extra>
class BlockSubject final : public Subject<T> {
 public:
  static constexpr bool reads_tokens = std::is_same_v<Input, Tokens>;
  static constexpr bool is_tokenwise = ef::TokenwiseBlock<B, T> && sizeof...(Extra) == 0;

  /// `make()` gives the block, in place: a block that its move damages would otherwise be damaged from the start, and what
  /// it computes would pass for right.
  template <class Make>
  BlockSubject(const Make& make, Input input, Extra... extra)
      : block_(make()), input_(input), extra_(std::move(extra)...) {
    if constexpr (reads_tokens) {
      out_ = block_.output_like(ef::Tensor<ef::TokensView::Token, 2>(1, 1)).dimension(2);
    } else {
      const std::vector<T> one(static_cast<std::size_t>(in_features()));
      out_ = block_.output_like(constant(one.data(), {1, 1}, in_features())).size();
    }
  }

  Index in_features() const override { return features_of(input_); }
  Index out_features() const override { return out_; }
  bool differentiable() const override { return !reads_tokens; }
  bool derives() const override {
    return !requires { requires B::straight_through; };
  }
  bool tokenwise() const override { return is_tokenwise; }

  std::vector<T> input(Extent extent, support::Generator& random) const override {
    std::vector<T> x(static_cast<std::size_t>(extent.tokens() * in_features()));
    for (T& number : x) {
      if constexpr (reads_tokens) {
        number = static_cast<T>(random.integer(input_.vocabulary));
      } else {
        number = static_cast<T>(random.normal());
      }
    }
    return x;
  }

  std::unique_ptr<Subject<T>> copy() const override {
    return with([&] { return B(block_); });
  }
  std::unique_ptr<Subject<T>> move() override {
    return with([&] { return B(std::move(block_)); });
  }
  void assign(const Subject<T>& other) override { block_ = dynamic_cast<const BlockSubject&>(other).block_; }
  std::vector<std::unique_ptr<Subject<T>>> out_of_containers() const override {
    const volatile std::size_t one = 1;  // g++ 12 takes a size that it knows for the last one, and warns
    std::vector<B> list(one, block_);
    list.push_back(block_);
    list.emplace_back(block_);
    list.insert(list.begin(), block_);
    list.resize(13, block_);
    list.erase(list.begin() + 1, list.end() - 2);
    std::vector<B> copied = list;
    list = copied;
    std::swap(list.front(), list.back());
    std::optional<B> perhaps;
    perhaps.emplace(block_);
    std::optional<B> another = perhaps;
    perhaps.reset();
    perhaps = std::move(another);
    std::vector<std::unique_ptr<Subject<T>>> result;
    const auto keep = [&](B& block) { result.push_back(with([&] { return B(std::move(block)); })); };
    for (B& block : list) keep(block);
    for (B& block : copied) keep(block);
    keep(*perhaps);
    return result;
  }

  void forward(const T* x, T* y, Extent extent, ef::Context& context) const override {
    call(reader(x, extent), writer(y, extent, out_), context, nullptr);
  }
  void forward_with_cache(const T* x, T* y, Extent extent, ef::Context& context) override {
    call(reader(x, extent), writer(y, extent, out_), context, &cache_);
  }
  void backward(const T* dy, T* dx, Extent extent, ef::Context& context) override {
    call_backward(constant(dy, extent, out_), writer(dx, extent, in_features()), context);
  }
  std::vector<T> call_operator(const T* x, Extent extent) const override {
    return std::apply([&](const auto&... extra) { return flat(block_(owned(x, extent), extra...)); }, extra_);
  }
  std::vector<T> call_operator(const T* x, Extent extent, ef::Context& context) const override {
    return std::apply([&](const auto&... extra) { return flat(block_(owned(x, extent), extra..., context)); }, extra_);
  }

  void forward_strided(const T* x, Index x_stride, T* y, Index y_stride, Index rows, ef::Context& context) override {
    if constexpr (is_tokenwise) {
      block_.forward(ef::ConstRowsView<T>(x, rows, in_features(), x_stride), ef::RowsView<T>(y, rows, out_, y_stride),
                     context, &cache_);
    } else {
      throw std::logic_error("not a token-wise block");
    }
  }
  void backward_strided(const T* dy, Index dy_stride, T* dx, Index dx_stride, Index rows,
                        ef::Context& context) override {
    if constexpr (is_tokenwise) {
      block_.backward(ef::ConstRowsView<T>(dy, rows, out_, dy_stride), cache_,
                      ef::RowsView<T>(dx, rows, in_features(), dx_stride), context);
    } else {
      throw std::logic_error("not a token-wise block");
    }
  }

  void forward_wide_x(T* y, ef::Context& context) override {
    if constexpr (!reads_tokens) {
      const std::vector<T> ones(static_cast<std::size_t>(4 * in_features()), T(1));
      call(constant(ones.data(), {1, 2}, in_features(), 1), writer(y, {1, 2}, out_), context, &cache_);
    }
  }
  void forward_wide_y(T* y, ef::Context& context) override {
    const std::vector<T> x(static_cast<std::size_t>(2 * in_features()), T(0));
    call(reader(x.data(), {1, 2}), writer(y, {1, 2}, out_, 1), context, &cache_);
  }
  void backward_wide_dy(T* dx, Extent extent, ef::Context& context) override {
    const std::vector<T> dy(static_cast<std::size_t>(extent.tokens() * 2 * out_), T(0));
    call_backward(constant(dy.data(), extent, out_, 1), writer(dx, extent, in_features()), context);
  }
  void backward_wide_dx(T* dx, Extent extent, ef::Context& context) override {
    const std::vector<T> dy(static_cast<std::size_t>(extent.tokens() * out_), T(0));
    call_backward(constant(dy.data(), extent, out_), writer(dx, extent, in_features(), 1), context);
  }

  std::vector<Visited<T>> parameters() override {
    std::vector<Visited<T>> result;
    ef::visit_learnable(block_, [&](const ef::Name& name, auto& parameter) {
      result.push_back({name.str(), parameter.values(), parameter.gradients(), &parameter.trainable});
    });
    return result;
  }
  std::vector<Visited<const T>> constant_parameters() const override {
    std::vector<Visited<const T>> result;
    ef::visit_learnable(block_, [&](const ef::Name& name, const auto& parameter) {
      result.push_back({name.str(), parameter.values(), parameter.gradients(), nullptr});
    });
    return result;
  }
  std::vector<StoredHalf> stored_halves() override {
    std::vector<StoredHalf> result;
    block_.visit_parameters([&]<class P>(const ef::Name& name, P& parameter) {
      if constexpr (ef::HalfPrecision<typename P::Scalar>) {
        result.push_back(
            {name.str(), {reinterpret_cast<std::uint16_t*>(parameter.values().data()), parameter.values().size()}});
      }
    });
    return result;
  }
  void save(const std::string& path) const override { ef::save_safetensors(path, block_); }
  void load(const std::string& path) override { ef::load_safetensors(path, block_); }

 private:
  template <class Make>
  std::unique_ptr<Subject<T>> with(const Make& make) const {
    return std::apply([&](const auto&... extra) { return std::make_unique<BlockSubject>(make, input_, extra...); },
                      extra_);
  }

  auto constant(const T* data, Extent extent, Index features, Index wider = 0) const {
    return seen_as<ef::ConstTensorView, T>(input_, data, extent, features, wider);
  }
  auto writer(T* data, Extent extent, Index features, Index wider = 0) const {
    return seen_as<ef::TensorView, T>(input_, data, extent, features, wider);
  }
  /// What forward reads, in place for numbers. Tokens are put into memory that is kept, so that it is not counted.
  auto reader(const T* x, Extent extent) const {
    if constexpr (reads_tokens) {
      tokens_.resize(static_cast<std::size_t>(extent.tokens()));
      for (std::size_t i = 0; i < tokens_.size(); ++i) tokens_[i] = static_cast<ef::TokensView::Token>(x[i]);
      return ef::TokensView(tokens_.data(), {extent.batch, extent.length});
    } else {
      return constant(x, extent, in_features());
    }
  }
  auto owned(const T* x, Extent extent) const {
    if constexpr (reads_tokens) {
      ef::Tensor<ef::TokensView::Token, 2> tokens(extent.batch, extent.length);
      std::copy_n(reader(x, extent).data(), tokens.size(), tokens.data());
      return tokens;
    } else {
      const auto seen = constant(x, extent, in_features());
      ef::Tensor<T, std::remove_cvref_t<decltype(seen)>::NumDimensions> tensor(seen.dimensions());
      std::copy_n(x, tensor.size(), tensor.data());
      return tensor;
    }
  }
  template <int Rank>
  static std::vector<T> flat(const ef::Tensor<T, Rank>& y) {
    return {y.data(), y.data() + y.size()};
  }

  template <class X, class Y>
  void call(const X& x, const Y& y, ef::Context& context, typename B::Cache* cache) const {
    std::apply([&](const auto&... extra) { block_.forward(x, y, extra..., context, cache); }, extra_);
  }
  template <class Dy, class Dx>
  void call_backward(const Dy& dy, const Dx& dx, ef::Context& context) {
    if constexpr (reads_tokens) {
      block_.backward(dy, cache_, context);
    } else {
      block_.backward(dy, cache_, dx, context);
    }
  }

  B block_;
  Input input_;
  std::tuple<Extra...> extra_;
  Index out_ = 0;
  typename B::Cache cache_;
  mutable std::vector<ef::TokensView::Token> tokens_;
};

/// A row of the table: `make(random)` gives the block; it is called for each test anew.
///   row<T>("LayerNorm", Features{13}, [](ef::Random) { return ef::LayerNorm<T>({.dim = 13}); })
template <class T, class Input, class Make, class... Extra>
Row<T> row(std::string name, Input input, Make make, Extra... extra) {
  using B = decltype(make(ef::Random(0)));
  return {std::move(name), [=]() -> std::unique_ptr<Subject<T>> {
            const auto block = [&] { return make(ef::Random(7)); };
            return std::make_unique<BlockSubject<T, B, Input, Extra...>>(block, input, extra...);
          }};
}

}  // namespace conformance
