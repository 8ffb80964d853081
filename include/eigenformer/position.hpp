#pragma once
// SPDX-License-Identifier: MIT

// Where a token stands: encodings and biases.

#include <eigenformer/position/alibi.hpp>
#include <eigenformer/position/angles.hpp>
#include <eigenformer/position/learned.hpp>
#include <eigenformer/position/no_position.hpp>
#include <eigenformer/position/pairing.hpp>
#include <eigenformer/position/relative_bias.hpp>
#include <eigenformer/position/rotary.hpp>
#include <eigenformer/position/sinusoidal.hpp>
