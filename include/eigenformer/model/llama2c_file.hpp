#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/element_conversion.hpp>
#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/model/llama_parameters.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A model file of llama2.c (https://github.com/karpathy/llama2.c), version 0: seven 32-bit integers
///   dim, hidden, layers, heads, kv_heads, vocabulary (negative if the output has weights of its own), length
/// then 32-bit floats: embedding, and for all layers attention_norm, query, key, value, output, feed_forward_norm,
/// gate, down, up, each kind together; norm; two tables of rotary angles that nothing uses; output weights if of its
/// own. Rotary pairs are interleaved. The numbers are checked before anything is allocated, and the file's size must be
/// exactly what they imply: the file may come from a stranger.
template <class = void>
class BasicLlama2cFile {
 public:
  /// Opens and checks the file; throws FileError for a fault in it.
  explicit BasicLlama2cFile(const FilePath& path) : BasicLlama2cFile(value_or_throw(try_open(path), path.string())) {}

  static Result<BasicLlama2cFile> try_open(const FilePath& path) noexcept {
    Result<InputFile> input = InputFile::open(path);
    if (!input) return of_format(input.fault());
    BasicLlama2cFile file(std::move(*input), path.c_str());
    if (const Result<void> valid = file.read_header(); !valid) return of_format(valid.fault());
    return file;
  }

  const LlamaConfig& config() const { return config_; }
  std::string source() const { return std::string(source_.view()); }

  /// Where a parameter of that dotted name lies; nothing if the file has none of that name.
  struct Place {
    std::uint64_t position;
    Shape shape;
  };
  std::optional<Place> find(std::string_view name) const {
    const DecoderOptions& o = config_.decoder;
    if (name == "embedding.weight") return Place{header_bytes, {o.vocabulary, o.dim}};
    std::uint64_t position = header_bytes + bytes({o.vocabulary, o.dim});
    for (const LlamaLayerParameter& parameter : weights_in_file_order()) {
      const std::uint64_t each = bytes(parameter.shape);
      if (const std::optional<Index> layer = layer_of(name, parameter.name)) {
        return Place{position + static_cast<std::uint64_t>(*layer) * each, parameter.shape};
      }
      position += static_cast<std::uint64_t>(o.layers) * each;
    }
    if (name == "norm.weight") return Place{position, {o.dim}};
    position += bytes({o.dim}) + angle_bytes();
    if (name == "output.weight" && config_.output == OutputWeights::separate) {
      return Place{position, {o.vocabulary, o.dim}};
    }
    return std::nullopt;
  }

  /// Reads a parameter of exactly that shape. After an error in the data its content is unspecified.
  template <class T>
  Result<void> try_read(std::string_view name, const Shape& shape, std::span<T> destination,
                        ReadOptions options = {}) const noexcept {
    const std::optional<Place> place = find(name);
    if (!place || place->shape != shape) return fault(name, "no such parameter of that shape in the file");
    std::array<std::byte, 16384> buffer;
    std::uint64_t position = place->position;
    for (T* to = destination.data(); to != destination.data() + destination.size();) {
      const auto left = static_cast<std::size_t>(destination.data() + destination.size() - to);
      const std::span<std::byte> chunk(buffer.data(), (std::min)(buffer.size(), left * sizeof(float)));
      if (Result<void> got = file_.read(position, chunk); !got) return of_format(got.fault());
      for (std::size_t i = 0; i < chunk.size(); i += sizeof(float)) {
        const auto value = detail::load_little_endian<float>(chunk.data() + i);
        if (options.finite == Finite::required && !detail::is_finite(value)) {
          return fault(name, "expected finite values only");
        }
        *to++ = static_cast<T>(value);
      }
      position += chunk.size();
    }
    return {};
  }

  static constexpr std::string_view format = "llama2.c";

 private:
  static constexpr std::uint64_t header_bytes = 28;

  BasicLlama2cFile(InputFile file, std::string_view source) : file_(std::move(file)), source_(source) {}

  Result<void> read_header() noexcept {
    std::array<std::byte, header_bytes> header;
    if (file_.size() < header_bytes) return fault({}, "expected at least 28 bytes");
    if (Result<void> got = file_.read(0, header); !got) return got;
    std::array<std::int64_t, 7> numbers{};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      numbers[i] = detail::load_little_endian<std::int32_t>(header.data() + 4 * i);
    }
    constexpr std::int64_t magic_of_later_versions = 0x616b3432;
    if (numbers[0] == magic_of_later_versions) {
      return fault({}, "expected version 0 of the format, which has no magic number; got a later one");
    }
    config_.output = numbers[5] > 0 ? OutputWeights::tied : OutputWeights::separate;
    if (numbers[5] < 0) numbers[5] = -numbers[5];
    struct Rule {
      std::string_view name;
      Index most;
    };
    constexpr std::array<Rule, 7> rules = {{{"dim", LlamaLimits::features},
                                            {"hidden", LlamaLimits::hidden},
                                            {"layers", LlamaLimits::layers},
                                            {"heads", LlamaLimits::heads},
                                            {"kv_heads", LlamaLimits::heads},
                                            {"vocabulary", LlamaLimits::tokens},
                                            {"length", LlamaLimits::length}}};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i] >= 1 && numbers[i] <= rules[i].most) continue;
      FileFault found = fault({}, rules[i].name);
      found.position = 4 * i;
      found.reason.append(": expected 1 .. ").append(rules[i].most).append(", got ").append(numbers[i]);
      return found;
    }
    take(numbers);
    return check_sizes();
  }
  void take(const std::array<std::int64_t, 7>& numbers) {
    config_.decoder = {.vocabulary = numbers[5],
                       .dim = numbers[0],
                       .layers = numbers[2],
                       .heads = numbers[3],
                       .kv_heads = numbers[4],
                       .hidden = numbers[1]};
    config_.max_length = numbers[6];
  }
  Result<void> check_sizes() const {
    const DecoderOptions& o = config_.decoder;
    if (o.head_dim < 2 || o.head_dim % 2 != 0 || o.heads % o.kv_heads != 0) {
      FileFault found = fault({}, "expected heads that divide dim evenly into an even number and are a multiple of ");
      found.reason.append("kv_heads, got dim ").append(o.dim).append(", heads ").append(o.heads);
      found.reason.append(", kv_heads ").append(o.kv_heads);
      return found;
    }
    // By LlamaLimits each of the twelve summands is below 2^55, so that 64 bits hold the sum.
    std::uint64_t expected = header_bytes + bytes({o.vocabulary, o.dim}) + bytes({o.dim}) + angle_bytes();
    for (const LlamaLayerParameter& parameter : llama_layer_weights(o)) {
      expected += static_cast<std::uint64_t>(o.layers) * bytes(parameter.shape);
    }
    if (config_.output == OutputWeights::separate) expected += bytes({o.vocabulary, o.dim});
    if (expected == file_.size()) return {};
    FileFault found = fault({}, "expected a file of ");
    found.reason.append(expected).append(" bytes, as the numbers at its start imply, got ").append(file_.size());
    return found;
  }

  static std::uint64_t bytes(const Shape& shape) { return 4 * static_cast<std::uint64_t>(shape.size()); }
  std::uint64_t angle_bytes() const { return 2 * bytes({config_.max_length, config_.decoder.head_dim / 2}); }

  /// The file has `down` before `up`.
  std::array<LlamaLayerParameter, 9> weights_in_file_order() const {
    std::array<LlamaLayerParameter, 9> weights = llama_layer_weights(config_.decoder);
    std::swap(weights[7], weights[8]);
    return weights;
  }
  /// The number in `layers.<number>.<part>`.
  std::optional<Index> layer_of(std::string_view name, std::string_view part) const {
    constexpr std::string_view layers = "layers.";
    if (!name.starts_with(layers) || !name.ends_with(part)) return std::nullopt;
    Index layer = -1;
    const char* const end = name.data() + name.size() - part.size();
    const auto [stop, error] = std::from_chars(name.data() + layers.size(), end, layer);
    if (error != std::errc() || stop + 1 != end || *stop != '.') return std::nullopt;
    return layer >= 0 && layer < config_.decoder.layers ? std::optional(layer) : std::nullopt;
  }

  static FileFault fault(std::string_view name, std::string_view reason) {
    FileFault found{.rule = 0, .position = 0, .tensor = {}, .reason = reason, .format = format};
    found.tensor.append_escaped(name);
    return found;
  }
  static FileFault of_format(FileFault found) {
    found.format = format;
    return found;
  }

  InputFile file_;
  FixedText<240> source_;
  LlamaConfig config_;
};

/// The one BasicLlama2cFile, which is a template so that only who uses it compiles it.
using Llama2cFile = BasicLlama2cFile<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
