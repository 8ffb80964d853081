// SPDX-License-Identifier: MIT

#include <eigenformer/eigenformer.hpp>

#include <iostream>

int main() {
  namespace ef = eigenformer;
  const ef::Tensor<float, 3> x(2, 3, 5);
  std::cout << "eigenformer " << ef::version_major << '.' << ef::version_minor << '.' << ef::version_patch << " on "
            << name(ef::best_instruction_set()) << ": " << ef::shape_of(x.dimensions()) << '\n';
}
