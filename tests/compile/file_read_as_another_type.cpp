// expect-error: StoredElement
// SPDX-License-Identifier: MIT
// A file is read as a type that it can hold.
#include <eigenformer/io/safetensors.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Element = double;
#else
using Element = long double;
#endif

auto call(const ef::SafetensorsFile& file) { return file.values<Element>("weight"); }
