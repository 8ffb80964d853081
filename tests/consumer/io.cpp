// SPDX-License-Identifier: MIT

#include <eigenformer/io.hpp>
