// expect-error: deleted function|call to deleted|implicitly-deleted|implicitly deleted
// SPDX-License-Identifier: MIT
// A Context owns threads: it is passed by reference, never copied.
#include <eigenformer/core/context.hpp>

namespace ef = eigenformer;

int call(ef::Context& context) {
#if defined(POSITIVE)
  ef::Context& same = context;
#else
  ef::Context same = context;
#endif
  return same.threads();
}
