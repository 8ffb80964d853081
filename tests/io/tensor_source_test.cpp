// SPDX-License-Identifier: MIT

#include <eigenformer/io/tensor_source.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;

struct WithoutRead {
  std::size_t size() const { return 0; }
};

TEST(TensorSource, is_what_a_file_is_and_a_part_of_it_is_not) {
  EXPECT_TRUE(ef::TensorSource<ef::SafetensorsFile>);
  EXPECT_FALSE(ef::TensorSource<WithoutRead>);
  EXPECT_FALSE(ef::TensorSource<ef::SafetensorsHeader>);
}

}  // namespace
