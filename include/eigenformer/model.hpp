#pragma once
// SPDX-License-Identifier: MIT

// Whole models made of blocks.

#include <eigenformer/model/decoder.hpp>
#include <eigenformer/model/decoder_options.hpp>
