// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/compiled/kernels.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace ef = eigenformer;

namespace {

/// [1 2 3; 4 5 6] [1 0; 0 1; 1 1] + [10 20], small whole numbers that every type here holds exactly.
template <class T, class Stored>
std::vector<T> product() {
  const std::vector<T> a = {1, 2, 3, 4, 5, 6};
  std::vector<Stored> b;
  for (const float number : {1.0F, 0.0F, 0.0F, 1.0F, 1.0F, 1.0F}) b.push_back(static_cast<Stored>(number));
  const std::vector<T> bias = {10, 20};
  std::vector<T> c(4);
  ef::Context context;
  ef::kernels::gemm<T, ef::kernels::AddBias<T>, Stored>({.rows = 2,
                                                         .columns = 2,
                                                         .depth = 3,
                                                         .a = ef::kernels::plain(a.data(), 3),
                                                         .b = ef::kernels::plain(b.data(), 2),
                                                         .c = c.data(),
                                                         .c_stride = 2},
                                                        context, {bias.data()});
  return c;
}

}  // namespace

// That no file has kernels of its own besides is looked up in the object files, by check_instances.sh.
TEST(CompiledKernels, are_linked_for_each_scalar_and_storage) {
  EXPECT_EQ((product<float, float>()), (std::vector<float>{14, 25, 20, 31}));
  EXPECT_EQ((product<float, ef::Bfloat16>()), (std::vector<float>{14, 25, 20, 31}));
  EXPECT_EQ((product<float, ef::Float16>()), (std::vector<float>{14, 25, 20, 31}));
  EXPECT_EQ((product<double, double>()), (std::vector<double>{14, 25, 20, 31}));
  EXPECT_EQ((product<double, ef::Bfloat16>()), (std::vector<double>{14, 25, 20, 31}));
  EXPECT_EQ((product<double, ef::Float16>()), (std::vector<double>{14, 25, 20, 31}));
}
