// SPDX-License-Identifier: MIT

#include "conformance/table.hpp"

namespace conformance {

// A file for each type: compiling all rows of both in one takes more memory than small machines have.
template <>
const std::vector<Row<float>>& rows<float>() {
  static const std::vector<Row<float>> all = table<float>();
  return all;
}

}  // namespace conformance
