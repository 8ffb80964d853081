#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/core/half.hpp>
#include <eigenformer/core/rows.hpp>
#include <eigenformer/kernels/bit_weights.hpp>

#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// One bit a weight: the sign of what is above the mean, W~ = sign(W - alpha), alpha = mean W, sign(0) = -1, scaled by beta =
/// mean |W| (Wang et al. 2023, "BitNet", equations 1 to 3 and 12). A matrix of zeros has scale zero.
struct BinaryWeights {
  using Packed = kernels::Binary;  ///< how codes are packed
  /// beta
  static double scale(double mean_magnitude) { return mean_magnitude; }
  /// What puts codes, as numbers, in the place of weights.
  template <class T>
  struct Coder {
    /// From the mean of the weights and that of their magnitudes.
    Coder(double mean, double) : mean_(static_cast<T>(mean)) {}
    /// Of eight weights.
    void operator()(T (&w)[8]) const {
      for (T& number : w) number = number > mean_ ? T(1) : T(-1);
    }

   private:
    T mean_;
  };
};

/// One of three values a weight: W~ = clip(round(W / gamma)), gamma = mean |W|, but at least 1e-5, ties to even (Ma et al.
/// 2024, "The Era of 1-bit LLMs", equations 1 to 3).
struct TernaryWeights {
  using Packed = kernels::Ternary;  ///< how codes are packed
  /// gamma
  static double scale(double mean_magnitude) { return (std::max)(mean_magnitude, 1e-5); }
  /// What puts codes, as numbers, in the place of weights.
  template <class T>
  struct Coder {
    /// From the mean of the weights and that of their magnitudes.
    Coder(double, double mean_magnitude) : factor_(T(1) / static_cast<T>(scale(mean_magnitude))) {}
    /// Of eight weights.
    void operator()(T (&w)[8]) const {
      int codes[8];
      for (T& number : w) number *= factor_;
      for (int j = 0; j < 8; ++j) codes[j] = w[j] > T(0.5) ? 1 : 0;
      for (int j = 0; j < 8; ++j) codes[j] -= w[j] < T(-0.5) ? 1 : 0;
      for (int j = 0; j < 8; ++j) w[j] = static_cast<T>(codes[j]);
    }

   private:
    T factor_;
  };
};

/// Into how many equal parts outputs and inputs of a weight are cut; each block has its own mean and scale, so that it
/// is computed without the others (Wang et al. 2023, section 2.2, "Model parallelism with Group Quantization").
struct WeightGroups {
  Index outputs = 1;  ///< parts of out_features, as of a weight that is split by columns of x W^T
  Index inputs = 1;   ///< parts of in_features, whose activations have norms and scales of their own too

  /// Number of blocks.
  Index count() const { return outputs * inputs; }
  /// The number of the block that holds an output and a part of the inputs.
  Index at(Index output, Index out_features, Index input_part) const {
    return output / (out_features / outputs) * inputs + input_part;
  }
  friend bool operator==(const WeightGroups&, const WeightGroups&) = default;
};

/// Throws OptionError unless the groups divide the weight.
inline void require_groups(const WeightGroups& groups, Index out_features, Index in_features, std::string_view block) {
  require<OptionError>(groups.outputs >= 1 && out_features % groups.outputs == 0, block,
                       "expected output groups that divide ", out_features, " out_features, got ", groups.outputs);
  require<OptionError>(groups.inputs >= 1 && in_features % groups.inputs == 0, block,
                       "expected input groups that divide ", in_features, " in_features, got ", groups.inputs);
}

namespace detail {

/// Sum and sum of magnitudes, in double and in an order that no alignment changes.
struct WeightSums {
  double sum = 0;
  double magnitude = 0;

  template <class T>
  static WeightSums of(const T* w, Index count) {
    using Sum = decltype(double() + T());  // double, in a way that only who uses it compiles
    using Lanes = Eigen::Array<Sum, 8, 1>;
    Lanes sum = Lanes::Zero();
    Lanes magnitude = Lanes::Zero();
    Index i = 0;
    for (; i + 8 <= count; i += 8) {
      const Lanes lanes = Eigen::Map<const Eigen::Array<T, 8, 1>>(w + i).template cast<Sum>();
      sum += lanes;
      magnitude += lanes.abs();
    }
    WeightSums result;
    for (Index j = 0; j < 8; ++j) {
      result.sum += sum[j];
      result.magnitude += magnitude[j];
    }
    for (; i < count; ++i) {
      result.sum += static_cast<double>(w[i]);
      result.magnitude += std::abs(static_cast<double>(w[i]));
    }
    return result;
  }
};

/// The codes of numbers that follow each other, eight at a time: loops of this length, one for each step, are what g++ -O2
/// puts into registers. With branches on signs, which nobody foretells, it takes five times as long.
template <class Coder, class T, class Code>
void code_weights(const Coder& coder, const T* from, Index count, Code* to) {
  for (Index i = 0; i < count; i += 8) {
    const Index present = (std::min)(count - i, Index(8));
    T codes[8] = {};
    if (present == 8) {
      std::copy_n(from + i, 8, codes);
      coder(codes);
      for (int j = 0; j < 8; ++j) to[i + j] = static_cast<Code>(codes[j]);
    } else {
      std::copy_n(from + i, present, codes);
      coder(codes);
      for (Index j = 0; j < present; ++j) to[i + j] = static_cast<Code>(codes[j]);
    }
  }
}

}  // namespace detail

/// Codes and scales of a weight: W is about scale * code.   weight: [out, in]    codes: [out, in]    scales: [groups]
/// Code is any number type that holds -1, 0 and 1. The sums are in double and in a fixed order.
///   throws OptionError if the groups do not divide the weight
template <class Weights, class T, class Code>
void quantize_weight(ConstRowsView<T> weight, const WeightGroups& groups, Code* codes, T* scales, Context& context) {
  const Index out = weight.rows(), in = weight.features();
  require_groups(groups, out, in, "quantize_weight");
  const Index part = in / groups.inputs;
  ScratchScope scope(context.scratch());
  auto* const sums = scope.take<detail::WeightSums>(out * groups.inputs);
  const double operations = 2 * static_cast<double>(weight.size());
  context.parallel_for(out, operations, [&](Index o) {
    for (Index g = 0; g < groups.inputs; ++g) {
      sums[o * groups.inputs + g] = detail::WeightSums::of(weight.data() + o * weight.stride() + g * part, part);
    }
  });
  auto* const means = scope.take<detail::WeightSums>(groups.count());
  std::fill_n(means, groups.count(), detail::WeightSums());
  for (Index o = 0; o < out; ++o) {
    for (Index g = 0; g < groups.inputs; ++g) {
      detail::WeightSums& mean = means[groups.at(o, out, g)];
      mean.sum += sums[o * groups.inputs + g].sum;
      mean.magnitude += sums[o * groups.inputs + g].magnitude;
    }
  }
  const auto size = static_cast<double>(weight.size() / groups.count());
  for (Index i = 0; i < groups.count(); ++i) {
    means[i] = {means[i].sum / size, means[i].magnitude / size};
    scales[i] = static_cast<T>(Weights::scale(means[i].magnitude));
  }
  context.parallel_for(out, operations, [&](Index o) {
    for (Index g = 0; g < groups.inputs; ++g) {
      const detail::WeightSums& mean = means[groups.at(o, out, g)];
      const typename Weights::template Coder<T> coder(mean.sum, mean.magnitude);
      detail::code_weights(coder, weight.data() + o * weight.stride() + g * part, part, codes + o * in + g * part);
    }
  });
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
