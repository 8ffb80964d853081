// SPDX-License-Identifier: MIT
// One unit of a program whose units are built with different flags. UNIT names it; exactly one is built as `wide`.

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

#if defined(IS_WIDE)
bool takes_error(const ef::Error&) { return true; }
#else
const char* type_name_wide();
float largest_output_wide();

int main() {
#if defined(PASS_OBJECTS)
  if (!takes_error(ef::Error("passed"))) return 1;
#endif
  std::printf("%s\n%s\n", type_name_plain(), type_name_wide());
  const float plain = largest_output_plain();
  const float wide = largest_output_wide();
  std::printf("%.9g %.9g\n", static_cast<double>(plain), static_cast<double>(wide));
  return plain > 0 && std::fabs(plain - wide) <= 1e-5F * plain ? 0 : 2;
}
#endif
