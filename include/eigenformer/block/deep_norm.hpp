#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/post_norm.hpp>
#include <eigenformer/block/scale_branches.hpp>
#include <eigenformer/kernels/norm.hpp>

#include <cmath>

namespace eigenformer::inline EIGENFORMER_ABI {

/// By what DeepNorm multiplies.
struct DeepNormGains {
  double alpha = 1;  ///< the residual path
  double beta = 1;   ///< the branches' first weights
};

/// The gains of a model that is nothing but `layers` encoder layers, or nothing but decoder layers (Wang et al. 2022,
/// "DeepNet", figure 2): alpha = (2N)^(1/4), beta = (8N)^(-1/4).    throws OptionError for layers below 1
inline DeepNormGains deep_norm_gains(Index layers) {
  require_positive(layers, "DeepNorm", "layers");
  const double n = static_cast<double>(layers);
  return {std::pow(2 * n, 0.25), std::pow(8 * n, -0.25)};
}

/// The gains of the encoder's layers in a model with N encoder and M decoder layers:
///   alpha = 0.81 (N^4 M)^(1/16), beta = 0.87 (N^4 M)^(-1/16)    throws OptionError for layers below 1
inline DeepNormGains deep_norm_encoder_gains(Index encoder_layers, Index decoder_layers) {
  require_positive(encoder_layers, "DeepNorm", "encoder_layers");
  require_positive(decoder_layers, "DeepNorm", "decoder_layers");
  const double root =
      std::pow(static_cast<double>(encoder_layers), 0.25) * std::pow(static_cast<double>(decoder_layers), 0.0625);
  return {0.81 * root, 0.87 / root};
}

/// The gains of the decoder's layers in a model with an encoder and M decoder layers:
///   alpha = (3M)^(1/4), beta = (12M)^(-1/4)    throws OptionError for layers below 1
inline DeepNormGains deep_norm_decoder_gains(Index decoder_layers) {
  require_positive(decoder_layers, "DeepNorm", "decoder_layers");
  const double m = static_cast<double>(decoder_layers);
  return {std::pow(3 * m, 0.25), std::pow(12 * m, -0.25)};
}

/// The parts of a layer with a norm for each branch, and the gain of its residual path.
template <class Norm, class Mixer, class FeedForward>
struct DeepNormParts : TwoNormParts<Norm, Mixer, FeedForward> {
  using Base = TwoNormParts<Norm, Mixer, FeedForward>;
  struct Options {
    detail::options_of<Norm> norm;
    detail::options_of<Mixer> attention;
    detail::options_of<FeedForward> feed_forward;
    DeepNormGains gains{};  ///< of deep_norm_gains; {1, 1} is PostNorm
  };

  DeepNormParts(const Options& options, Random random)
      : Base({options.norm, options.attention, options.feed_forward}, Random(random)), alpha(options.gains.alpha) {
    check(alpha, "alpha");
    check(options.gains.beta, "beta");
    scale_branches(*this, options.gains.beta);
  }
  DeepNormParts(Norm norm_of_attention, Mixer mixer, Norm norm_of_feed_forward, FeedForward given_feed_forward,
                double given_alpha)
      : Base(std::move(norm_of_attention), std::move(mixer), std::move(norm_of_feed_forward),
             std::move(given_feed_forward)),
        alpha(given_alpha) {
    check(alpha, "alpha");
  }

  double alpha;  ///< the gain of the residual path

 private:
  static void check(double gain, std::string_view name) {
    require<OptionError>(kernels::is_finite(gain) && gain > 0, "DeepNorm", "expected ", name,
                         " that is finite and positive, got ", gain);
  }
};

/// PostNorm for stacks of a thousand layers (Wang et al. 2022, "DeepNet: Scaling Transformers to 1,000 Layers"): the
/// residual path counts alpha times, and the branches' first weights are beta times as large.
///   h = norm(alpha x + attention(x)),    y = norm'(alpha h + feed_forward(h))
/// Its calls, shapes and errors are those of every Layer; OptionError for gains that are not positive.
template <class Norm, class Mixer, class FeedForward>
class DeepNorm : public Layer<DeepNorm<Norm, Mixer, FeedForward>, DeepNormParts<Norm, Mixer, FeedForward>> {
 public:
  using Base = Layer<DeepNorm, DeepNormParts<Norm, Mixer, FeedForward>>;
  using Cache = typename Base::Cache;
  using Scalar = typename Base::Scalar;
  using Base::Base;
  static constexpr std::string_view block = "DeepNorm";

 private:
  friend Base;

  void run(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, Context& context, Cache* cache,
           const auto& attend) const {
    detail::norm_after_sums(*this, static_cast<Scalar>(this->alpha), x, y, context, cache, attend);
  }
  void run_back(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx, Context& context) {
    detail::norm_after_sums_backward(*this, static_cast<Scalar>(this->alpha), dy, cache, dx, context);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
