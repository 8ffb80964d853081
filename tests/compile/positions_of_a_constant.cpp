// expect-error: no matching function for call to .*::apply\(|no matching member function for call to 'apply'
// SPDX-License-Identifier: MIT
// Rotary positions turn queries and keys in place.
#include <eigenformer/position/rotary.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Heads = ef::HeadsView<float>;
#else
using Heads = ef::ConstHeadsView<float>;
#endif

void call(const ef::Rotary<>& rotary, const Heads& queries, ef::Context& context) { rotary.apply(queries, 0, context); }
