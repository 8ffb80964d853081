#pragma once
// SPDX-License-Identifier: MIT

#include <string>
#include <utility>
#include <vector>

namespace bench {

/// What a number means nothing without: processor, compiler, flags, Eigen, commit, as keys and values.
std::vector<std::pair<std::string, std::string>> describe_machine();

}  // namespace bench
