#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/core/block.hpp>
#include <eigenformer/core/concepts.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/core/scalar_of.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct PromptTuningOptions {
  Index length = 0;  ///< virtual tokens; 0 is as if there were none
  Index dim = 0;
  double deviation = 1;  ///< of the initial vectors, which are normal, as in PEFT
};

/// Trained vectors in front of the embedded tokens of every sequence (Lester et al. 2021, "The Power of Scale for
/// Parameter-Efficient Prompt Tuning", section 2), whose own outputs are dropped:
///   y = body([prompt; x]) without its first rows
/// Body is what maps sequences, such as the Stack of a model's layers. The paper does best with a prompt that starts as the
/// vectors of real tokens: hand such rows over as the given prompt.
/// The mask is that of the whole, the prompt the first positions of every sequence. Step by step, the prompt goes into the
/// caches before the first positions.
///   x, y: [B, S, D]; y may be x    prompt: [length, D]
///   throws OptionError for a negative length or a dim below 1, ShapeError for tensors that do not fit, what the body throws
template <class Body>
class PromptTuning : public Block<PromptTuning<Body>> {
 public:
  using Scalar = scalar_of<Body>;
  struct Cache {
    typename Body::Cache body;       ///< of the body, with the prompt
    std::array<Index, 3> extents{};  ///< of x
  };

  /// A trained body, and a prompt that starts at random.
  PromptTuning(Body given_body, const PromptTuningOptions& options, Random random)
      : body(std::move(given_body)), prompt(start_prompt(options, random)) {}
  PromptTuning(Body given_body, Matrix<Scalar> given_prompt)
      : body(std::move(given_body)), prompt(std::move(given_prompt)) {}

  Index length() const { return prompt.value.rows(); }

  template <class Mask>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, Context& context,
               Cache* cache = nullptr) const {
    check(x.shape(), y.shape(), "y");
    run(x, y, context, [&](ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      body.forward(from, to, mask, context, cache ? &cache->body : nullptr);
    });
    if (cache) cache->extents = x.dimensions();
  }
  /// Step by step: with empty caches, the prompt and x; then x alone.   key_values: what the body takes
  template <class Mask, class KeyValues>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, KeyValues& key_values,
               Context& context) const {
    check(x.shape(), y.shape(), "y");
    if (positions_in(key_values) > 0) {
      body.forward(x, y, mask, key_values, context);
      return;
    }
    run(x, y, context, [&](ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      body.forward(from, to, mask, key_values, context);
    });
  }

  void backward(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx, Context& context) {
    check(dy.shape(), dx.shape(), "dx");
    require_shape(shape_of(cache.extents), dy.shape(), "PromptTuning", "dy of the shape of x in forward");
    const ProfileScope profile(context, "PromptTuning backward");
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> dwhole = whole(dy, scope);
    const TensorView<Scalar, 3> dinput = whole(dy, scope);
    for (Index b = 0; b < dy.dimension(0); ++b) std::fill_n(first_row(dwhole, b), prompt.size(), Scalar(0));
    copy_rows(dy, dwhole, Behind::to);
    body.backward(dwhole, cache.body, dinput, context);
    copy_rows(dinput, dx, Behind::from);
    if (!prompt.trainable) return;
    auto& gradient = prompt.accumulated_gradient();
    for (Index b = 0; b < dy.dimension(0); ++b) {
      const Scalar* const row = first_row(dinput, b);
      for (Index i = 0; i < prompt.size(); ++i) gradient.data()[i] += row[i];
    }
  }

  static void members(auto& self, auto&& visit) {
    visit("", self.body);
    visit("prompt", self.prompt);
  }

  Body body;                    ///< what reads the prompt and the tokens
  Parameter<Scalar, 2> prompt;  ///< [length, D]

 private:
  enum class Behind { from, to };  ///< In which of two tensors the rows lie behind those of a prompt.

  static Matrix<Scalar> start_prompt(const PromptTuningOptions& options, Random& random) {
    require<OptionError>(options.length >= 0, "PromptTuning", "expected length of at least 0, got ", options.length);
    require_positive(options.dim, "PromptTuning", "dim");
    Matrix<Scalar> start(options.length, options.dim);
    for (Index i = 0; i < start.size(); ++i) {
      start.data()[i] = static_cast<Scalar>(options.deviation * random.normal());
    }
    return start;
  }
  template <class KeyValues>
  static Index positions_in(const KeyValues& key_values) {
    if constexpr (requires { key_values.length(); }) {
      return key_values.length();
    } else {
      return key_values.empty() ? 0 : key_values.front().length();
    }
  }

  /// body(from, to) of the prompt and x.
  template <class Run>
  void run(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, Context& context, const Run& run_body) const {
    const ProfileScope profile(context, "PromptTuning");
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> input = whole(x, scope);
    const TensorView<Scalar, 3> output = whole(x, scope);
    for (Index b = 0; b < x.dimension(0); ++b) std::copy_n(prompt.value.data(), prompt.size(), first_row(input, b));
    copy_rows(x, input, Behind::to);
    run_body(input, output);
    copy_rows(output, y, Behind::from);
  }
  /// Memory for the prompt and x.
  TensorView<Scalar, 3> whole(const ConstTensorView<Scalar, 3>& x, ScratchScope& scope) const {
    const Index positions = length() + x.dimension(1);
    Scalar* const memory = scope.take<Scalar>(x.dimension(0) * positions * x.dimension(2));
    return {memory, x.dimension(0), positions, x.dimension(2)};
  }
  static Scalar* first_row(const TensorView<Scalar, 3>& x, Index b) {
    return const_cast<Scalar*>(x.data()) + b * x.dimension(1) * x.dimension(2);
  }
  void copy_rows(ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to, Behind prompt_in) const {
    const Index size = (std::min)(from.dimension(1), to.dimension(1)) * to.dimension(2);
    for (Index b = 0; b < to.dimension(0); ++b) {
      const Scalar* const first = from.data() + b * from.dimension(1) * from.dimension(2);
      std::copy_n(first + (prompt_in == Behind::from ? prompt.size() : 0), size,
                  first_row(to, b) + (prompt_in == Behind::to ? prompt.size() : 0));
    }
  }
  void check(const Shape& x, const Shape& y, std::string_view y_name) const {
    require_features(prompt.value.cols(), x, "PromptTuning");
    require_shape(x, y, "PromptTuning", y_name);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
