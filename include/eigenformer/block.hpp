#pragma once
// SPDX-License-Identifier: MIT

// Arrangements of other blocks.

#include <eigenformer/block/alternating.hpp>
#include <eigenformer/block/cross_layer.hpp>
#include <eigenformer/block/deep_norm.hpp>
#include <eigenformer/block/efficient_vit_block.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/gated_feed_forward.hpp>
#include <eigenformer/block/gru_cell.hpp>
#include <eigenformer/block/layer.hpp>
#include <eigenformer/block/lstm_cell.hpp>
#include <eigenformer/block/norm_order.hpp>
#include <eigenformer/block/parallel_block.hpp>
#include <eigenformer/block/parts.hpp>
#include <eigenformer/block/post_norm.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/recurrent.hpp>
#include <eigenformer/block/recurrent_weights.hpp>
#include <eigenformer/block/residual.hpp>
#include <eigenformer/block/sandwich.hpp>
#include <eigenformer/block/scale_branches.hpp>
#include <eigenformer/block/sequential.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/block/unrolling.hpp>
