#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>

/// The arithmetic that training is measured against: the largest number of fp32 operations per second that a loop of
/// independent fused multiply-adds reaches in registers, on the instruction set and all the threads of the Context, in
/// the best of several short runs. A multiply-add counts as two.
double peak_operations_per_second(eigenformer::Context& context);
