#pragma once
// SPDX-License-Identifier: MIT

// Tensors and views, shapes and errors, parameters, context, random numbers, and what every block has in common.

#include <eigenformer/core/abi.hpp>
#include <eigenformer/core/block.hpp>
#include <eigenformer/core/buffer.hpp>
#include <eigenformer/core/check.hpp>
#include <eigenformer/core/concepts.hpp>
#include <eigenformer/core/context.hpp>
#include <eigenformer/core/dropout.hpp>
#include <eigenformer/core/error.hpp>
#include <eigenformer/core/half.hpp>
#include <eigenformer/core/heads.hpp>
#include <eigenformer/core/images.hpp>
#include <eigenformer/core/instruction_set.hpp>
#include <eigenformer/core/int8.hpp>
#include <eigenformer/core/parameter.hpp>
#include <eigenformer/core/profiler.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/core/rows.hpp>
#include <eigenformer/core/scalar_of.hpp>
#include <eigenformer/core/scratch.hpp>
#include <eigenformer/core/sequence_labels.hpp>
#include <eigenformer/core/shape.hpp>
#include <eigenformer/core/stored_heads.hpp>
#include <eigenformer/core/tensor.hpp>
#include <eigenformer/core/thread_team.hpp>
#include <eigenformer/core/tokens.hpp>
#include <eigenformer/core/version.hpp>
