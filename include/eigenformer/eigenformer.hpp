#pragma once
// SPDX-License-Identifier: MIT

// Every room that needs nothing but Eigen.

#include <eigenformer/adapter.hpp>
#include <eigenformer/attention.hpp>
#include <eigenformer/block.hpp>
#include <eigenformer/convolution.hpp>
#include <eigenformer/core.hpp>
#include <eigenformer/io.hpp>
#include <eigenformer/kernels.hpp>
#include <eigenformer/linear.hpp>
#include <eigenformer/model.hpp>
#include <eigenformer/norm.hpp>
#include <eigenformer/ops.hpp>
#include <eigenformer/position.hpp>
#include <eigenformer/quantize.hpp>
#include <eigenformer/train.hpp>
