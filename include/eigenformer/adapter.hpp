#pragma once
// SPDX-License-Identifier: MIT

// Adapters around projections and attention.

#include <eigenformer/adapter/prefix.hpp>
#include <eigenformer/adapter/prefix_mlp.hpp>
#include <eigenformer/adapter/prefixes_of.hpp>
#include <eigenformer/adapter/prompt_tuning.hpp>
