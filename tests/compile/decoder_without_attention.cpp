// expect-error: DecoderLayer
// SPDX-License-Identifier: MIT
// A decoder asks its layers for attention and for room in a key/value cache.
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/model/decoder.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Layer = ef::LlamaLayer<float>;
#else
using Layer = ef::FeedForward<float, ef::Relu>;
#endif

ef::Index call(const ef::Decoder<float, Layer>& decoder) { return decoder.vocabulary(); }
