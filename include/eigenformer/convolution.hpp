#pragma once
// SPDX-License-Identifier: MIT

// Convolutions and pooling.

#include <eigenformer/convolution/convolution.hpp>
#include <eigenformer/convolution/depthwise_convolution.hpp>
#include <eigenformer/convolution/depthwise_tasks.hpp>
#include <eigenformer/convolution/fold.hpp>
#include <eigenformer/convolution/normed.hpp>
#include <eigenformer/convolution/patches.hpp>
