#pragma once
// SPDX-License-Identifier: MIT

// Normalisation layers.

#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/normalise.hpp>
#include <eigenformer/norm/rms_norm.hpp>
#include <eigenformer/norm/scale_norm.hpp>
