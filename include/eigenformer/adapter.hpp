#pragma once
// SPDX-License-Identifier: MIT

// Adapters: what is trained of a model while the model stays as it is.

#include <eigenformer/adapter/assigned.hpp>
#include <eigenformer/adapter/dora.hpp>
#include <eigenformer/adapter/lora.hpp>
#include <eigenformer/adapter/lora_adapter.hpp>
#include <eigenformer/adapter/lora_adapters.hpp>
#include <eigenformer/adapter/lora_attach.hpp>
#include <eigenformer/adapter/lora_embedding.hpp>
#include <eigenformer/adapter/lora_model.hpp>
#include <eigenformer/adapter/lora_options.hpp>
#include <eigenformer/adapter/lora_parameters.hpp>
#include <eigenformer/adapter/low_rank.hpp>
#include <eigenformer/adapter/named_prefixes.hpp>
#include <eigenformer/adapter/prefix.hpp>
#include <eigenformer/adapter/prefix_mlp.hpp>
#include <eigenformer/adapter/prefixes_of.hpp>
#include <eigenformer/adapter/prompt_tuning.hpp>
#include <eigenformer/adapter/row_runs.hpp>
