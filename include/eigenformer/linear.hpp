#pragma once
// SPDX-License-Identifier: MIT

// Projections and embeddings.

#include <eigenformer/linear/embedding.hpp>
#include <eigenformer/linear/fix_norm.hpp>
#include <eigenformer/linear/fold.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/linear/tied_output.hpp>
