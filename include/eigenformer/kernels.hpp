#pragma once
// SPDX-License-Identifier: MIT

// The hot loops on raw views, for each instruction set, chosen when the program runs.

#include <eigenformer/kernels/activation.hpp>
#include <eigenformer/kernels/activation_types.hpp>
#include <eigenformer/kernels/attention.hpp>
#include <eigenformer/kernels/attention_problem.hpp>
#include <eigenformer/kernels/bit_product.hpp>
#include <eigenformer/kernels/bit_weights.hpp>
#include <eigenformer/kernels/channel_norm.hpp>
#include <eigenformer/kernels/cross_entropy.hpp>
#include <eigenformer/kernels/depthwise.hpp>
#include <eigenformer/kernels/descent.hpp>
#include <eigenformer/kernels/dropout.hpp>
#include <eigenformer/kernels/dropout_rule.hpp>
#include <eigenformer/kernels/epilogue.hpp>
#include <eigenformer/kernels/gemm.hpp>
#include <eigenformer/kernels/gemv.hpp>
#include <eigenformer/kernels/lines_ahead.hpp>
#include <eigenformer/kernels/narrow_gemm.hpp>
#include <eigenformer/kernels/norm.hpp>
#include <eigenformer/kernels/pack.hpp>
#include <eigenformer/kernels/product.hpp>
#include <eigenformer/kernels/quantize_row.hpp>
#include <eigenformer/kernels/recurrent.hpp>
#include <eigenformer/kernels/rotate.hpp>
#include <eigenformer/kernels/rows.hpp>
#include <eigenformer/kernels/scale_norm.hpp>
#include <eigenformer/kernels/seeded_bug.hpp>
#include <eigenformer/kernels/softmax.hpp>
#include <eigenformer/kernels/tile.hpp>
#include <eigenformer/kernels/turns.hpp>
