#pragma once
// SPDX-License-Identifier: MIT

// Quantisers of activations and weights.

#include <eigenformer/quantize/absmax.hpp>
#include <eigenformer/quantize/huggingface_ternary.hpp>
#include <eigenformer/quantize/weights.hpp>
