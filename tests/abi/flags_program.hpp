#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/feed_forward.hpp>

namespace ef = eigenformer;

using Block = ef::FeedForward<float, ef::Gelu>;

/// What a unit hands back, made with its flags and looked at with those of main.
struct Step {
  Block block;
  Block::Cache cache;
  ef::Matrix<float> y;
  ef::Matrix<float> dx;
  ef::ShapeError error;
};

// UNITS is the list X(name) X(name) ... of the program's units.
#define X(name) Step name(const Block& block, const ef::Matrix<float>& x);
UNITS
#undef X
