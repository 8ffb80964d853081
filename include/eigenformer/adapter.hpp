#pragma once
// SPDX-License-Identifier: MIT

// What adapts trained models: prefixes and prompts.

#include <eigenformer/adapter/prefix.hpp>
#include <eigenformer/adapter/prefix_mlp.hpp>
#include <eigenformer/adapter/prefixes_of.hpp>
#include <eigenformer/adapter/prompt_tuning.hpp>
