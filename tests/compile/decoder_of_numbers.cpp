// expect-error: x is not what this block reads, a row-major tensor or matrix \(or tokens\)
// SPDX-License-Identifier: MIT
// Tokens are 32-bit integers, not features and not 64-bit integers.
#include <eigenformer/model/decoder.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Token = std::int32_t;
#else
using Token = std::int64_t;
#endif

auto call(const ef::Decoder<float>& decoder, const ef::Tensor<Token, 2>& tokens) { return decoder(tokens); }
