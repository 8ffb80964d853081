// expect-error: FeaturePairing
// SPDX-License-Identifier: MIT
// Which features turn together is one of two conventions.
#include <eigenformer/position/rotary.hpp>

namespace ef = eigenformer;

struct EverySecond {};
#if defined(POSITIVE)
using Pairing = ef::HalfSplit;
#else
using Pairing = EverySecond;
#endif

double call(const ef::Rotary<Pairing>& rotary) { return rotary.frequencies[0]; }
