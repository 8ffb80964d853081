#pragma once
// SPDX-License-Identifier: MIT

// Stateless mathematics, forward and backward.

#include <eigenformer/ops/activation.hpp>
#include <eigenformer/ops/cross_entropy_rows.hpp>
#include <eigenformer/ops/descent.hpp>
#include <eigenformer/ops/dropout.hpp>
#include <eigenformer/ops/gated.hpp>
#include <eigenformer/ops/log_softmax.hpp>
#include <eigenformer/ops/softmax.hpp>
#include <eigenformer/ops/traversal.hpp>
