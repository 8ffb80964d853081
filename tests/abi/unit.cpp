// SPDX-License-Identifier: MIT
// One of two units of a program. UNIT names it: `first`, which has main, or `second`, then with -DIS_SECOND, which is built
// with other flags or with another version of the library.

#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <cmath>
#include <cstdio>
#include <typeinfo>

#define JOIN(a, b) a##_##b
#define JOIN_VALUES(a, b) JOIN(a, b)

namespace ef = eigenformer;

// The name of a type of the library as this unit sees it.
const char* JOIN_VALUES(type_name, UNIT)() { return typeid(ef::Error).name(); }

// Goes through Eigen, its thread pool, the kernels and the allocators with this unit's flags.
float JOIN_VALUES(largest_output, UNIT)() {
  const ef::Linear<float> linear({.in_features = 37, .out_features = 23}, ef::Random(42));
  ef::Tensor<float, 2> x(5, 37);
  for (ef::Index i = 0; i < x.size(); ++i) x.data()[i] = std::sin(static_cast<float>(i));
  ef::Context context({.threads = 2});
  ef::Tensor<float, 2> y = linear(x, context);
  y = ef::LayerNorm<float>({.dim = 23})(y, context);
  y = y + y.constant(1);
  float largest = 0;
  for (ef::Index i = 0; i < y.size(); ++i) largest = (std::fmax)(largest, std::fabs(y.data()[i]));
  return largest;
}

// With -DPASS_OBJECTS an object of the library goes from one unit to the other.
bool takes_error(const ef::Error&);

#if defined(IS_SECOND)
bool takes_error(const ef::Error&) { return true; }
#else
const char* type_name_second();
float largest_output_second();

int main() {
#if defined(PASS_OBJECTS)
  if (!takes_error(ef::Error("passed"))) return 1;
#endif
  std::printf("%s\n%s\n", type_name_first(), type_name_second());
  const float mine = largest_output_first();
  const float other = largest_output_second();
  std::printf("%.9g %.9g\n", static_cast<double>(mine), static_cast<double>(other));
  return mine > 0 && std::fabs(mine - other) <= 1e-5F * mine ? 0 : 2;
}
#endif
