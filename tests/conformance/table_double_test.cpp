// SPDX-License-Identifier: MIT

#include "conformance/table.hpp"

namespace conformance {

// A file for each type: compiling all rows of both in one takes more memory than small machines have.
template <>
const std::vector<Row<double>>& rows<double>() {
  static const std::vector<Row<double>> all = table<double>();
  return all;
}

}  // namespace conformance
