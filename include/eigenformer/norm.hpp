#pragma once
// SPDX-License-Identifier: MIT

// Normalisation layers.

#include <eigenformer/norm/batch_norm.hpp>
#include <eigenformer/norm/channel_factors.hpp>
#include <eigenformer/norm/channel_gradient.hpp>
#include <eigenformer/norm/channel_statistics.hpp>
#include <eigenformer/norm/channel_tiling.hpp>
#include <eigenformer/norm/group_norm.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/no_norm.hpp>
#include <eigenformer/norm/normalise.hpp>
#include <eigenformer/norm/plain_layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>
#include <eigenformer/norm/running_statistics.hpp>
#include <eigenformer/norm/scale_norm.hpp>
