#pragma once
// SPDX-License-Identifier: MIT

// Projections and embeddings.

#include <eigenformer/linear/bit_linear.hpp>
#include <eigenformer/linear/bit_rows.hpp>
#include <eigenformer/linear/embedding.hpp>
#include <eigenformer/linear/fix_norm.hpp>
#include <eigenformer/linear/fold.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/linear/packed_bit_linear.hpp>
#include <eigenformer/linear/packed_linear.hpp>
#include <eigenformer/linear/tied_output.hpp>
