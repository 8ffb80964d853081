#pragma once
// SPDX-License-Identifier: MIT

// Every room that needs nothing but Eigen.

#include <eigenformer/core.hpp>
