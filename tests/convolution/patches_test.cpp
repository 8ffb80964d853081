// SPDX-License-Identifier: MIT

#include <eigenformer/convolution/patches.hpp>

#include <gtest/gtest.h>

#include "convolution/images_case.hpp"
#include "support/compare.hpp"

namespace ef = eigenformer;
using ef::Index;
using ef::detail::Patches;
using images_case::random_images;

namespace {

/// Calls body(patches, x) for kernels, strides and paddings, some of which reach beyond the image on all sides.
template <class Body>
void for_cases(const Body& body) {
  support::Generator random(121);
  int cases = 0;
  for (const Index kernel : {1, 2, 3, 5}) {
    for (const Index stride : {1, 2, 3}) {
      for (const Index padding : {0, 1, 4}) {
        const auto x = random_images<double>({2, 7, 5, 3}, random);
        body(Patches<double>(ef::shape_of(x.dimensions()), kernel, stride, padding), x, kernel, stride, padding);
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, 36);
}

}  // namespace

TEST(Patches, are_what_the_kernel_sees_at_each_pixel_of_the_result) {
  ef::Context context;
  for_cases([&](const Patches<double>& patches, const auto& x, Index kernel, Index stride, Index padding) {
    const Index first = patches.rows() / 3, count = patches.rows() - first;
    std::vector<double> rows(static_cast<std::size_t>(count * patches.width() * patches.features()), -1);
    patches.gather(x, first, count, rows.data(), context);
    const double* at = rows.data();
    for (Index row = first; row < first + count; ++row) {
      for (Index j = 0; j < patches.width(); ++j) {
        for (Index u = 0; u < kernel; ++u) {
          for (Index v = 0; v < kernel; ++v) {
            for (Index c = 0; c < 3; ++c) {
              const Index y = row % patches.height() * stride + u - padding, z = j * stride + v - padding;
              const bool inside = y >= 0 && y < 7 && z >= 0 && z < 5;
              ASSERT_EQ(*at++, inside ? x(row / patches.height(), y, z, c) : 0.0);
            }
          }
        }
      }
    }
  });
}

TEST(Patches, scatter_is_the_transpose_of_gather) {
  ef::Context context;
  support::Generator random(122);
  for_cases([&](const Patches<double>& patches, const auto& x, Index, Index, Index) {
    const Index first = patches.rows() / 3, count = patches.rows() - first;
    const Index size = count * patches.width() * patches.features();
    std::vector<double> gathered(static_cast<std::size_t>(size));
    patches.gather(x, first, count, gathered.data(), context);
    const auto dpatches = support::normal<double>(size, random);
    ef::Tensor<double, 4> dx(x.dimensions());
    dx.setZero();
    patches.scatter(dpatches.data(), first, count, dx, context);
    double forward = 0, backward = 0, scale = 0;
    for (std::size_t i = 0; i < gathered.size(); ++i) {
      forward += gathered[i] * dpatches[i];
      scale += std::abs(gathered[i] * dpatches[i]);
    }
    for (Index i = 0; i < x.size(); ++i) backward += x.data()[i] * dx.data()[i];
    EXPECT_NEAR(forward, backward, 1e-13 * scale);
  });
}

TEST(Patches, come_about_a_megabyte_at_a_time_but_at_least_a_row) {
  EXPECT_EQ(Patches<float>({1, 224, 224, 3}, 3, 1, 1).rows_at_once(), (1 << 18) / (224 * 27));
  EXPECT_EQ(Patches<float>({1, 4, 1000, 1000}, 3, 1, 1).rows_at_once(), 1);
  EXPECT_EQ(Patches<float>({1, 0, 0, 3}, 3, 1, 1).rows(), 0);
  EXPECT_EQ(Patches<float>({1, 2, 2, 3}, 5, 1, 0).rows(), 0);
}
