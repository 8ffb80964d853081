// SPDX-License-Identifier: MIT

#include <eigenformer/convolution/depthwise_tasks.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace ef = eigenformer;
using ef::Index;
using ef::detail::DepthwiseTasks;
using ef::detail::KernelOrder;

TEST(DepthwiseTasks, cover_every_row_of_every_image_once_in_strips_that_fit_the_first_cache) {
  ef::Context context;
  int cut = 0;
  for (const Index height : {0, 1, 7, 56, 113}) {
    for (const Index width : {1, 14, 56, 1000}) {
      const DepthwiseTasks<float> tasks(3, height, width, 37, 5, 1, context);
      std::vector<int> seen(static_cast<std::size_t>(3 * height));
      for (Index unit = 0; unit < tasks.units(); ++unit) {
        const auto strip = tasks.strip(unit, 0);
        EXPECT_EQ(strip.columns, width);
        for (Index r = strip.first; r < strip.first + strip.rows; ++r)
          ++seen[static_cast<std::size_t>(tasks.image(unit) * height + r)];
      }
      for (const int times : seen) EXPECT_EQ(times, 1);
      if (width <= 56) {
        EXPECT_LE(tasks.scratch() * Index(sizeof(float)), 48 * 1024) << height << " x " << width;
      }
      cut += tasks.units() > 3 ? 1 : 0;
    }
  }
  EXPECT_GE(cut, 4);
}

TEST(DepthwiseTasks, cover_every_channel_once) {
  ef::Context context;
  for (const Index channels : {1, 4, 16, 37, 64}) {
    const DepthwiseTasks<double> tasks(1, 7, 7, channels, 3, 2, context);
    Index sum = 0;
    for (Index block = 0; block < tasks.blocks(); ++block) sum += tasks.strip(0, block).channels;
    EXPECT_EQ(sum, channels);
  }
}

TEST(DepthwiseTasks, pack_weights_as_vectors_of_channels_straight_or_turned) {
  ef::Context context({.instruction_set = ef::InstructionSet::portable});
  const DepthwiseTasks<float> tasks(1, 7, 7, 5, 3, 1, context);
  ASSERT_EQ(tasks.lanes(), 4);
  std::vector<float> weight(45);
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<float>(i + 1);
  std::vector<float> packed(static_cast<std::size_t>(tasks.weights()), -1);
  ASSERT_EQ(packed.size(), 72U);
  tasks.pack(weight.data(), KernelOrder::straight, packed.data());
  EXPECT_EQ(packed[0], 1);            // channel 0, place 0
  EXPECT_EQ(packed[4 * 8 + 3], 36);   // channel 3, place 8
  EXPECT_EQ(packed[36 + 4 * 2], 39);  // channel 4, place 2
  EXPECT_EQ(packed[36 + 4 * 2 + 1], 0);
  tasks.pack(weight.data(), KernelOrder::turned, packed.data());
  EXPECT_EQ(packed[0], 9);
  EXPECT_EQ(packed[36 + 4 * 2], 43);
}
