// SPDX-License-Identifier: MIT

#include <eigenformer/block/parts.hpp>

#include <gtest/gtest.h>

#include <string>
#include <type_traits>

#include "support/compare.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

/// Parts that say as much of themselves as a test needs.
struct Plain {};
struct Sized {
  struct Options {
    Index size = 0;
  };
  explicit Sized(const Options& options) : size(options.size) {}
  Index size;
};
struct Drawn {
  struct Options {
    Index size = 0;
  };
  Drawn(const Options& options, ef::Random random) : size(options.size), first_draw(random.bits()) {}
  Index size;
  std::uint64_t first_draw;
};
struct Reader {
  Index input;
  Index input_features() const { return input; }
};
struct Writer {
  Index output;
  Index output_features() const { return output; }
};
struct Map : Reader, Writer {};

static_assert(std::is_same_v<ef::detail::options_of<Sized>, Sized::Options>);
static_assert(std::is_same_v<ef::detail::options_of<Plain>, ef::detail::NoOptions>);
static_assert(std::is_empty_v<ef::detail::NoOptions>);

/// What a check says, or nothing.
template <class Check>
std::string complaint(const Check& check) {
  try {
    check();
  } catch (const ef::ShapeError& error) {
    return error.what();
  }
  return "";
}
template <class Part>
std::string width_complaint(const Part& part, Index features) {
  return complaint([&] { ef::detail::require_width(part, features, "Tower", "roof"); });
}

}  // namespace

TEST(Parts, that_draw_get_a_stream_of_their_own_each) {
  ef::Random random(3), same(3);
  const auto first = ef::detail::make_part<Drawn>({.size = 5}, random);
  const auto second = ef::detail::make_part<Drawn>({.size = 7}, random);
  EXPECT_EQ(first.size, 5);
  EXPECT_EQ(second.size, 7);
  EXPECT_EQ(first.first_draw, same.split().bits());
  EXPECT_EQ(second.first_draw, same.split().bits());
  EXPECT_NE(first.first_draw, second.first_draw);
}

TEST(Parts, that_do_not_draw_leave_the_stream_alone) {
  ef::Random random(3);
  const auto before = random.state();
  EXPECT_EQ(ef::detail::make_part<Sized>({.size = 11}, random).size, 11);
  EXPECT_EQ(random.state(), before);
}

TEST(Parts, are_asked_for_the_widths_that_they_say) {
  EXPECT_EQ(width_complaint(Plain{}, 5), "");
  EXPECT_EQ(width_complaint(Reader{5}, 5), "");
  EXPECT_EQ(width_complaint(Writer{5}, 5), "");
  EXPECT_EQ(width_complaint(Map{{5}, {5}}, 5), "");
  EXPECT_EQ(width_complaint(Map{{0}, {0}}, 0), "");
  EXPECT_EQ(width_complaint(Reader{7}, 5), "Tower: expected last dimension 7 for roof, got 5");
  EXPECT_EQ(width_complaint(Writer{7}, 5), "Tower: expected roof to give back 5 features, got 7");
  EXPECT_EQ(width_complaint(Map{{7}, {5}}, 5), "Tower: expected last dimension 7 for roof, got 5");
  EXPECT_EQ(width_complaint(Map{{5}, {7}}, 5), "Tower: expected roof to give back 5 features, got 7");
}

TEST(Parts, may_be_asked_for_their_input_alone) {
  const auto input_complaint = [](const auto& part, Index features) {
    return complaint([&] { ef::detail::require_input(part, features, "Tower", "x"); });
  };
  EXPECT_EQ(input_complaint(Plain{}, 5), "");
  EXPECT_EQ(input_complaint(Writer{7}, 5), "");
  EXPECT_EQ(input_complaint(Map{{5}, {7}}, 5), "");
  EXPECT_EQ(input_complaint(Map{{7}, {5}}, 5), "Tower: expected x of last dimension 7, got 5");
}

TEST(Parts, take_scratch_tensors_that_do_not_overlap) {
  ef::ScratchArena arena;
  ef::ScratchScope scope(arena);
  ef::Tensor<float, 3> x(2, 3, 5);
  x.setConstant(1);
  const auto a = ef::detail::scratch_like<float>(scope, ef::ConstTensorView<float, 3>(x));
  auto b = ef::detail::scratch_like<float>(scope, x);
  EXPECT_EQ(a.shape(), ef::shape_of(x.dimensions()));
  EXPECT_EQ(b.shape(), a.shape());
  std::copy_n(x.data(), x.size(), a.data());
  b.setConstant(2);
  EXPECT_TRUE(support::bit_equal(a, x));
  EXPECT_EQ(ef::detail::scratch_like<float>(scope, ef::Tensor<float, 3>(0, 3, 5)).size(), 0);
}
