#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/prefix.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/ops/activation.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct PrefixMlpOptions {
  Index length = 0;  ///< positions of each prefix
  Index dim = 0;     ///< of the small vectors that stand for the positions
  Index hidden = dim;
  Index out_features =
      0;  ///< of all keys and values of a position together, kv_heads (head_dim + value_dim) of each layer
  double deviation = 1;  ///< of the initial vectors, which are normal
};

/// Prefixes made by a small network while they are trained, because as free parameters they train unsteadily (Li & Liang
/// 2021, "Prefix-Tuning", section 4.3), in the form that PEFT gives it:
///   [k_1 v_1 ... k_L v_L] = W_2 tanh(W_1 E + b_1) + b_2,   position by position, k_l and v_l those of layer l
/// In training its forward writes the prefixes of a model, and its backward takes up the gradients that the model's backward
/// has added to them and sets these to zero; the optimizer steps this block and not the prefixes. `fold` writes them for good,
/// after which the network is no longer needed.
///   embedding.weight E: [length, dim]    transform.0.weight W_1: [hidden, dim]    transform.2.weight W_2: [out, hidden]
///   throws OptionError for a negative length and for dims below 1, ShapeError for prefixes that are not of this length or not of
///          out_features together, ValueError for one that has no gradient; before anything is written
template <class T>
class PrefixMlp : public Block<PrefixMlp<T>> {
 public:
  using Scalar = T;
  using Options = PrefixMlpOptions;
  struct Cache {
    typename Linear<T>::Cache down;
    Buffer<T> hidden;  ///< before tanh: [length, hidden]
    typename Linear<T>::Cache up;
  };

  PrefixMlp(const PrefixMlpOptions& options, Random random)
      : embedding(start_vectors(options, random)),
        down({.in_features = options.dim, .out_features = options.hidden}, random.split()),
        up({.in_features = options.hidden, .out_features = options.out_features}, random.split()) {}
  PrefixMlp(Matrix<T> given_embedding, Linear<T> given_down, Linear<T> given_up)
      : embedding(std::move(given_embedding)), down(std::move(given_down)), up(std::move(given_up)) {
    check_parts();
  }

  Index length() const { return embedding.value.rows(); }
  Index output_features() const { return up.output_features(); }

  /// All keys and values as rows.   y: [length, out_features]
  void forward(RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    check_parts();
    check_rows(y.shape(), "y");
    const ProfileScope profile(context, "PrefixMlp");
    ScratchScope scope(context.scratch());
    const Index width = down.output_features();
    const RowsView<T> h = cache ? cache->hidden.resize(length(), width) : scope.rows<T>(length(), width);
    const RowsView<T> activated = scope.rows<T>(length(), width);
    down.forward(embedding.value, h, context, cache ? &cache->down : nullptr);
    activate<Tanh, T>(h, activated, context);
    up.forward(activated, y, context, cache ? &cache->up : nullptr);
  }
  /// Writes the prefixes of a model, which `prefixes_of` finds: one for each layer, in their order.
  void forward(std::span<Prefix<T>* const> prefixes, Context& context, Cache* cache = nullptr) const {
    check_prefixes(prefixes);
    ScratchScope scope(context.scratch());
    const RowsView<T> y = scope.rows<T>(length(), output_features());
    forward(y, context, cache);
    Index column = 0;
    for_each_half(prefixes, [&](Parameter<T, 3>& half) {
      const Index width = row_width(half);
      for (Index n = 0; n < length(); ++n) {
        std::copy_n(y.row(n).data() + column, width, half.value.data() + n * width);
      }
      column += width;
    });
  }
  /// What training ends with: writes the prefixes, which from then on are all there is.
  void fold(std::span<Prefix<T>* const> prefixes, Context& context) const { forward(prefixes, context); }

  /// dy: [length, out_features]
  void backward(ConstRowsView<T> dy, const Cache& cache, Context& context) {
    check_parts();
    check_rows(dy.shape(), "dy");
    const Index width = down.output_features();
    require<ValueError>(cache.hidden.size() == length() * width, "PrefixMlp",
                        "expected the cache of a forward of this block");
    const ProfileScope profile(context, "PrefixMlp backward");
    ScratchScope scope(context.scratch());
    const RowsView<T> dh = scope.rows<T>(length(), width);
    const RowsView<T> dvectors = scope.rows<T>(length(), down.input_features());
    up.backward(dy, cache.up, dh, context);
    activate_backward<Tanh, T>(cache.hidden.rows(width), dh, dh, context);
    down.backward(dh, cache.down, dvectors, context);
    if (embedding.trainable) embedding.accumulated_gradient() += dvectors;
  }
  /// Takes up the gradients of the prefixes.
  void backward(std::span<Prefix<T>* const> prefixes, const Cache& cache, Context& context) {
    check_prefixes(prefixes);
    for_each_half(prefixes, [&](const Parameter<T, 3>& half) {
      require<ValueError>(half.gradient.size() == half.value.size(), "PrefixMlp",
                          "expected prefixes with gradients, which a backward of the model adds to trainable ones");
    });
    ScratchScope scope(context.scratch());
    RowsView<T> dy = scope.rows<T>(length(), output_features());
    Index column = 0;
    for_each_half(prefixes, [&](const Parameter<T, 3>& half) {
      const Index width = row_width(half);
      for (Index n = 0; n < length(); ++n) {
        std::copy_n(half.gradient.data() + n * width, width, dy.row(n).data() + column);
      }
      column += width;
    });
    backward(dy, cache, context);
    for_each_half(prefixes, [](Parameter<T, 3>& half) { half.zero_gradient(); });
  }

  static void members(auto& self, auto&& visit) {
    visit("embedding.weight", self.embedding);
    visit("transform.0", self.down);
    visit("transform.2", self.up);
  }

  Parameter<T, 2> embedding;  ///< a small vector for each position, [length, dim]
  Linear<T> down;             ///< to the hidden width
  Linear<T> up;               ///< to all keys and values

 private:
  static Matrix<T> start_vectors(const PrefixMlpOptions& options, Random& random) {
    require<OptionError>(options.length >= 0, "PrefixMlp", "expected length of at least 0, got ", options.length);
    require_positive(options.dim, "PrefixMlp", "dim");
    require_positive(options.hidden, "PrefixMlp", "hidden");
    require_positive(options.out_features, "PrefixMlp", "out_features");
    Matrix<T> vectors(options.length, options.dim);
    for (Index i = 0; i < vectors.size(); ++i) vectors.data()[i] = static_cast<T>(options.deviation * random.normal());
    return vectors;
  }
  template <class Function>
  static void for_each_half(std::span<Prefix<T>* const> prefixes, const Function& function) {
    for (Prefix<T>* const prefix : prefixes) {
      function(prefix->keys);
      function(prefix->values);
    }
  }
  static Index row_width(const Parameter<T, 3>& half) { return half.value.dimension(1) * half.value.dimension(2); }

  void check_parts() const {
    require(embedding.value.cols() == down.input_features() && down.output_features() == up.input_features(),
            "PrefixMlp", "expected vectors, down and up that go together, got widths ", embedding.value.cols(), ", ",
            down.input_features(), " to ", down.output_features(), ", ", up.input_features());
  }
  void check_rows(const Shape& shape, std::string_view name) const {
    require_shape({length(), output_features()}, shape, "PrefixMlp", name);
  }
  void check_prefixes(std::span<Prefix<T>* const> prefixes) const {
    Index features = 0;
    for_each_half(prefixes, [&](const Parameter<T, 3>& half) {
      require(half.value.dimension(0) == length(), "PrefixMlp", "expected prefixes of ", length(),
              " positions, got keys or values of shape ", half.shape());
      features += row_width(half);
    });
    require(features == output_features(), "PrefixMlp", "expected prefixes of ", output_features(),
            " features together, got ", features);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
