#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama2c_file.hpp>

#include "fuzz/targets.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

// As targets.hpp, for model files of llama2.c.
namespace fuzz {

inline void expect_believable(const LlamaConfig& config) {
  const DecoderOptions& o = config.decoder;
  expect(o.dim >= 1 && o.dim <= LlamaLimits::features, "dim in its limits");
  expect(o.hidden >= 1 && o.hidden <= LlamaLimits::hidden, "hidden in its limits");
  expect(o.layers >= 1 && o.layers <= LlamaLimits::layers, "layers in their limits");
  expect(o.vocabulary >= 1 && o.vocabulary <= LlamaLimits::tokens, "vocabulary in its limits");
  expect(o.heads >= 1 && o.kv_heads >= 1 && o.heads <= LlamaLimits::heads, "heads in their limits");
  expect(o.heads % o.kv_heads == 0, "heads are a multiple of kv_heads");
  expect(config.max_length >= 1 && config.max_length <= LlamaLimits::length, "length in its limits");
}

/// The bytes of a llama2.c model file, by way of a file in memory.
inline void llama2c(std::string_view text) {
  const int descriptor = ::memfd_create("llama2c", MFD_CLOEXEC);
  expect(descriptor >= 0, "a file in memory");
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t put = ::write(descriptor, rest.data(), rest.size());
    expect(put > 0, "the file in memory takes the bytes");
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  const Result<Llama2cFile> file = Llama2cFile::try_open("/proc/self/fd/" + std::to_string(descriptor));
  ::close(descriptor);
  if (!file) return expect(!file.fault().reason.empty(), "a fault has a reason");
  expect_believable(file->config());
  for (const char* name : {"embedding.weight", "layers.0.attention.query.weight", "layers.0.feed_forward.down.weight",
                           "norm.weight", "output.weight", "layers.99999.x", "absent"}) {
    const auto place = file->find(name);
    if (!place) continue;
    std::vector<float> room(static_cast<std::size_t>(place->shape.size()));
    expect(place->position + 4 * room.size() <= text.size(), "every parameter lies in the file");
    expect(static_cast<bool>(file->try_read<float>(name, place->shape, room)), "every parameter can be read");
  }
}

}  // namespace fuzz
