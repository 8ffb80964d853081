#pragma once
// SPDX-License-Identifier: MIT

// Losses, optimisers, schedules, gradient checks.

#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/clip.hpp>
#include <eigenformer/train/cross_entropy.hpp>
#include <eigenformer/train/gradient_check.hpp>
#include <eigenformer/train/optimizer_state.hpp>
#include <eigenformer/train/schedule.hpp>
#include <eigenformer/train/sgd.hpp>
