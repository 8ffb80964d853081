// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/rotate.hpp>

#include <support/alignment.hpp>
#include <support/compare.hpp>
#include <support/inputs.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
using ef::Index;
using ef::InstructionSet;

namespace {

/// Two products and their sum, fused or not, are rounded by half an eps of |a cos| + |b sin| each: one eps in all, and
/// some eps^2.
constexpr double rotation_c = 1.001;

enum class Pairs { neighbours, halves };

/// Heads with gaps between them, and tables that end where they must not be read any further.
template <class T>
class Heads {
 public:
  Heads(Pairs pairs, Index heads, Index half, Index offset)
      : pairs_(pairs),
        half_(half),
        x_(heads, 2 * half, 2 * half + 3, offset),
        cosine_(pairs == Pairs::neighbours ? 2 * half : half, offset + 1),
        sine_(cosine_.size(), offset + 2) {
    support::Generator random(static_cast<std::uint64_t>(half));
    for (Index i = 0; i < half; ++i) {
      const double angle = random.uniform(-4, 4);
      const Index at = pairs == Pairs::neighbours ? 2 * i : i;
      cosine_[at] = static_cast<T>(std::cos(angle));
      sine_[at] = static_cast<T>(std::sin(angle));
      if (pairs == Pairs::halves) continue;
      cosine_[at + 1] = cosine_[at];
      sine_[at + 1] = sine_[at];
      sine_[at] = -sine_[at];
    }
    for (Index head = 0; head < heads; ++head) {
      for (Index j = 0; j < 2 * half; ++j) x_(head, j) = static_cast<T>(random.normal());
    }
  }

  void rotate(InstructionSet set) {
    const auto turn = pairs_ == Pairs::neighbours ? kernels::rotate_pairs<T> : kernels::rotate_halves<T>;
    turn(x_.data(), x_.rows(), x_.row_stride(), cosine_.data(), sine_.data(), cosine_.size(), set);
  }
  void turn_back() {
    for (T& s : sine_) s = -s;
  }

  std::vector<T> values() const {
    std::vector<T> result;
    for (Index head = 0; head < x_.rows(); ++head) {
      for (Index j = 0; j < x_.cols(); ++j) result.push_back(x_(head, j));
    }
    return result;
  }
  /// (a cos - b sin, b cos + a sin) of each pair, and the sum of the sizes of both terms.
  void reference(std::vector<long double>& turned, std::vector<long double>& size) const {
    turned.assign(static_cast<std::size_t>(x_.rows() * x_.cols()), 0);
    size = turned;
    for (Index n = 0; n < x_.rows() * half_; ++n) {
      const Index head = n / half_, i = n % half_;
      const Index first = pairs_ == Pairs::neighbours ? 2 * i : i, second = first + distance();
      const long double a = static_cast<long double>(x_(head, first));
      const long double b = static_cast<long double>(x_(head, second));
      const Index at = pairs_ == Pairs::neighbours ? second : i;
      const long double c = static_cast<long double>(cosine_[at]), s = static_cast<long double>(sine_[at]);
      const auto p = static_cast<std::size_t>(head * x_.cols() + first);
      const auto q = static_cast<std::size_t>(head * x_.cols() + second);
      turned[p] = a * c - b * s;
      turned[q] = b * c + a * s;
      size[p] = std::abs(a * c) + std::abs(b * s);
      size[q] = std::abs(b * c) + std::abs(a * s);
    }
  }
  Index distance() const { return pairs_ == Pairs::neighbours ? 1 : half_; }
  support::GuardedRows<T>& x() { return x_; }

 private:
  Pairs pairs_;
  Index half_;
  support::GuardedRows<T> x_;
  support::GuardedBuffer<T> cosine_, sine_;
};

class Rotate : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
};

template <class T>
int expect_rotations(InstructionSet set, Pairs pairs) {
  int cases = 0;
  for (Index half = 0; half <= 35; ++half) {
    for (const Index heads : {0, 1, 3}) {
      Heads<T> rotated(pairs, heads, half, half % support::alignment_offsets);
      std::vector<long double> expected, size;
      rotated.reference(expected, size);
      rotated.rotate(set);
      EXPECT_TRUE(rotated.x().untouched_outside());
      ++cases;
      if (heads * half == 0) continue;
      EXPECT_TRUE(within(support::dot_product_error(rotated.values(), expected, size), rotation_c)) << half;
    }
  }
  return cases;
}

/// Turned there and back, a pair is off by the rounding of cos^2 + sin^2 and of two rotations.
template <class T>
void expect_return(InstructionSet set, Pairs pairs) {
  Heads<T> rotated(pairs, 5, 23, 3);
  const std::vector<T> before = rotated.values();
  rotated.rotate(set);
  rotated.turn_back();
  rotated.rotate(set);
  double largest = 0;
  for (const T x : before) largest = (std::max)(largest, std::abs(static_cast<double>(x)));
  EXPECT_TRUE(within(support::max_error(rotated.values(), before, largest),
                     8 * static_cast<double>(std::numeric_limits<T>::epsilon())));
}

/// No pair of a vector may reach another: NaN in one leaves every other bit as it is.
template <class T>
void expect_pairs_apart(InstructionSet set, Pairs pairs) {
  constexpr Index half = 19;
  Heads<T> clean(pairs, 1, half, 0);
  clean.rotate(set);
  for (Index i = 0; i < half; ++i) {
    Heads<T> spoilt(pairs, 1, half, 0);
    const Index first = pairs == Pairs::neighbours ? 2 * i : i;
    spoilt.x()(0, first) = std::numeric_limits<T>::quiet_NaN();
    spoilt.rotate(set);
    for (const Index j : {first, first + spoilt.distance()}) {
      EXPECT_TRUE(support::is_nan(static_cast<double>(spoilt.x()(0, j)))) << j;
      spoilt.x()(0, j) = clean.x()(0, j);
    }
    EXPECT_TRUE(support::bit_equal(spoilt.values(), clean.values())) << "pair " << i;
  }
}

}  // namespace

TEST_P(Rotate, equals_plain_loops_for_every_width) {
  for (const Pairs pairs : {Pairs::neighbours, Pairs::halves}) {
    EXPECT_EQ(expect_rotations<float>(GetParam(), pairs), 36 * 3);
    EXPECT_EQ(expect_rotations<double>(GetParam(), pairs), 36 * 3);
  }
}

TEST_P(Rotate, by_the_negated_sine_turns_back) {
  for (const Pairs pairs : {Pairs::neighbours, Pairs::halves}) {
    expect_return<float>(GetParam(), pairs);
    expect_return<double>(GetParam(), pairs);
  }
}

TEST_P(Rotate, keeps_pairs_apart) {
  for (const Pairs pairs : {Pairs::neighbours, Pairs::halves}) {
    expect_pairs_apart<float>(GetParam(), pairs);
    expect_pairs_apart<double>(GetParam(), pairs);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Rotate, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
