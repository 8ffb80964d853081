#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>

/// The fp32 operations per second that training is measured against: every thread of the Context runs a loop of
/// independent multiply-adds in registers on the Context's instruction set, all at the same time, and the rates of the
/// threads, each in its best of many runs of under a millisecond, are added up. A multiply-add counts as two
/// operations.
double peak_operations_per_second(eigenformer::Context& context);
