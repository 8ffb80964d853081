#pragma once
// SPDX-License-Identifier: MIT

// Masks, biases of scores, attention, and the key/value cache.

#include <eigenformer/attention/attention.hpp>
#include <eigenformer/attention/attention_backward.hpp>
#include <eigenformer/attention/attention_cache.hpp>
#include <eigenformer/attention/attention_decoding.hpp>
#include <eigenformer/attention/attention_options.hpp>
#include <eigenformer/attention/attention_parts.hpp>
#include <eigenformer/attention/attention_plan.hpp>
#include <eigenformer/attention/attention_position.hpp>
#include <eigenformer/attention/attention_sinks.hpp>
#include <eigenformer/attention/attention_steps.hpp>
#include <eigenformer/attention/attention_views.hpp>
#include <eigenformer/attention/behind_prefix.hpp>
#include <eigenformer/attention/block_sparse.hpp>
#include <eigenformer/attention/both.hpp>
#include <eigenformer/attention/cascaded_group_attention.hpp>
#include <eigenformer/attention/explicit_mask.hpp>
#include <eigenformer/attention/from_multi_head.hpp>
#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/joined_projections.hpp>
#include <eigenformer/attention/key_value.hpp>
#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/attention/key_value_memory.hpp>
#include <eigenformer/attention/key_value_prefix.hpp>
#include <eigenformer/attention/local_window_attention.hpp>
#include <eigenformer/attention/mask.hpp>
#include <eigenformer/attention/memory.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/attention/multi_query_attention.hpp>
#include <eigenformer/attention/offset_bias.hpp>
#include <eigenformer/attention/packed.hpp>
#include <eigenformer/attention/paged_key_value_cache.hpp>
#include <eigenformer/attention/paged_sequences.hpp>
#include <eigenformer/attention/projected_memory.hpp>
#include <eigenformer/attention/ragged.hpp>
#include <eigenformer/attention/rolling_key_value_cache.hpp>
#include <eigenformer/attention/score_bias.hpp>
#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/attention/strided.hpp>
