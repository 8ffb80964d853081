#pragma once
// SPDX-License-Identifier: MIT

// Adapters: what is trained of a model while the model stays as it is.

#include <eigenformer/adapter/dora.hpp>
#include <eigenformer/adapter/lora.hpp>
#include <eigenformer/adapter/lora_adapters.hpp>
#include <eigenformer/adapter/lora_embedding.hpp>
#include <eigenformer/adapter/lora_model.hpp>
#include <eigenformer/adapter/lora_options.hpp>
#include <eigenformer/adapter/low_rank.hpp>
