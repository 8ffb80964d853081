// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>

#include <gtest/gtest.h>

#include <string>
#include <typeinfo>

#define TEXT_OF(text) #text
#define TEXT_OF_VALUE(macro) TEXT_OF(macro)

TEST(Abi, names_of_symbols_carry_alignment_instruction_set_and_exceptions) {
  const std::string abi = TEXT_OF_VALUE(EIGENFORMER_ABI);
  EXPECT_NE(abi.find("_align" + std::to_string(EIGEN_MAX_ALIGN_BYTES) + "_"), abi.npos) << abi;
#if defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)
  EXPECT_TRUE(abi.ends_with("_avx2_fma_throws")) << abi;
#elif defined(__x86_64__) && !defined(__SSE3__)
  EXPECT_TRUE(abi.ends_with("_base_throws")) << abi;
#endif
  EXPECT_NE(std::string(typeid(eigenformer::Shape).name()).find(abi), std::string::npos)
      << "symbols of units with other flags must differ";
}
