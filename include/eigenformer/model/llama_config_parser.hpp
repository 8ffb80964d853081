#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/json_config_parser.hpp>
#include <eigenformer/io/result.hpp>
#include <eigenformer/model/llama_config.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// Reads one config.json, field by field as they come.
template <class = void>
class BasicLlamaConfigParser : private JsonConfigParser<64> {
 public:
  static constexpr std::string_view format = "config";

  explicit BasicLlamaConfigParser(std::string_view text) : JsonConfigParser<64>(text, format) {
    config_.decoder = {.head_dim = absent, .epsilon = 1e-6};
    config_.decoder.kv_heads = absent;
  }

  Result<LlamaConfig> parse() {
    if (!(check_text() && object([this] { return any_field(); }) && check_rest() && check_required() && complete()))
      return fault_;
    return config_;
  }

 private:
  static constexpr Index absent = -1;

  enum class Field : unsigned {
    model_type,
    hidden_size,
    intermediate_size,
    num_hidden_layers,
    num_attention_heads,
    vocab_size,
    num_key_value_heads,
    head_dim,
    max_position_embeddings,
    rms_norm_eps,
    rope_theta,
    hidden_act,
    tie_word_embeddings,
    attention_bias,
    mlp_bias,
    bos_token_id,
    eos_token_id,
    rope_scaling,
    rope_parameters,
    sliding_window,
    quantization_config,
    partial_rotary_factor,
  };
  static constexpr std::array<std::string_view, 22> field_names = {"model_type",
                                                                   "hidden_size",
                                                                   "intermediate_size",
                                                                   "num_hidden_layers",
                                                                   "num_attention_heads",
                                                                   "vocab_size",
                                                                   "num_key_value_heads",
                                                                   "head_dim",
                                                                   "max_position_embeddings",
                                                                   "rms_norm_eps",
                                                                   "rope_theta",
                                                                   "hidden_act",
                                                                   "tie_word_embeddings",
                                                                   "attention_bias",
                                                                   "mlp_bias",
                                                                   "bos_token_id",
                                                                   "eos_token_id",
                                                                   "rope_scaling",
                                                                   "rope_parameters",
                                                                   "sliding_window",
                                                                   "quantization_config",
                                                                   "partial_rotary_factor"};
  static constexpr std::size_t required_fields = 6;  // the first ones

  static std::string_view name(Field field) { return field_names[static_cast<std::size_t>(field)]; }

  bool any_field() {
    const auto found = std::find(field_names.begin(), field_names.end(), key_);
    if (found == field_names.end()) return skip();
    const auto which = static_cast<unsigned>(found - field_names.begin());
    field_ = static_cast<Field>(which);
    if ((seen_ >> which & 1U) != 0) return failed(key_position_, "expected once");
    seen_ |= 1U << which;
    begin_value();
    if (scanner_.take_word("null")) return null();
    return read();
  }
  bool null() {
    if (static_cast<unsigned>(field_) < required_fields) return wrong("a value");
    if (field_ == Field::bos_token_id) config_.begin_token = LlamaConfig::no_token;
    if (field_ == Field::eos_token_id) config_.end_token_count = 0;
    return true;
  }

  bool read() {
    DecoderOptions& decoder = config_.decoder;
    switch (field_) {
      case Field::model_type: return word("llama");
      case Field::hidden_size: return integer(decoder.dim, LlamaLimits::features);
      case Field::intermediate_size: return integer(decoder.hidden, LlamaLimits::hidden);
      case Field::num_hidden_layers: return integer(decoder.layers, LlamaLimits::layers);
      case Field::num_attention_heads: return integer(decoder.heads, LlamaLimits::heads);
      case Field::vocab_size: return integer(decoder.vocabulary, LlamaLimits::tokens);
      case Field::num_key_value_heads: return integer(decoder.kv_heads, LlamaLimits::heads);
      case Field::head_dim: return integer(decoder.head_dim, LlamaLimits::features);
      case Field::max_position_embeddings: return integer(config_.max_length, LlamaLimits::length);
      case Field::rms_norm_eps: return real(decoder.epsilon, {1e-30, 1}, "a number in 1e-30 .. 1");
      case Field::rope_theta: return real(rope_theta_, {1, 1e15}, "a number in 1 .. 1e15");
      case Field::hidden_act: return word("silu");
      case Field::tie_word_embeddings: return tied();
      case Field::attention_bias: return boolean(decoder.attention_bias);
      case Field::mlp_bias: return boolean(decoder.feed_forward_bias);
      case Field::bos_token_id: return token(config_.begin_token) || wrong("a token");
      case Field::eos_token_id: return end_tokens();
      case Field::rope_scaling:
      case Field::rope_parameters: return rotary();
      case Field::sliding_window:
      case Field::quantization_config: return wrong("null");
      case Field::partial_rotary_factor: return real(rotary_share_, {1, 1}, "1");
    }
    return skip();
  }

  bool integer(Index& value, Index most) {
    if (read_integer(value, most)) return true;
    FixedText<80> expected("an integer in 1 .. ");
    return wrong(expected.append(most).view());
  }
  bool real(double& value, Range range, std::string_view expected) {
    return read_number(value, range) || wrong(expected);
  }
  bool boolean(bool& value) { return read_boolean(value) || wrong("true or false"); }
  bool tied() {
    bool tied = false;
    if (!boolean(tied)) return false;
    config_.output = tied ? OutputWeights::tied : OutputWeights::separate;
    return true;
  }
  /// The one word that is implemented.
  bool word(std::string_view only) {
    if (read_word(only)) return true;
    FixedText<80> expected("\"");
    return wrong(expected.append(only).append("\"").view());
  }
  bool token(std::int32_t& value) {
    std::uint64_t number = 0;
    if (scanner_.integer(number) != JsonFault::none || number >= std::uint64_t{LlamaLimits::tokens}) return false;
    value = static_cast<std::int32_t>(number);
    return true;
  }
  /// One token or a list of them.
  bool end_tokens() {
    constexpr std::string_view expected = "a token or a list of at most 16";
    config_.end_token_count = 0;
    const bool list = scanner_.take('[');
    if (list && scanner_.take(']')) return true;
    do {
      if (config_.end_token_count == LlamaConfig::most_end_tokens) return wrong(expected);
      if (!token(config_.end_tokens[static_cast<std::size_t>(config_.end_token_count++)])) return wrong(expected);
    } while (list && scanner_.take(','));
    return !list || scanner_.take(']') || wrong(expected);
  }
  /// Rotary positions other than the published ones carry a type of another name.
  bool rotary() {
    constexpr std::string_view expected = "null or rope_type \"default\"";
    const JsonScanner whole = value_;
    const Field field = field_;
    bool typed = false;
    bool others = false;
    const bool good = object([&] {
      scanner_.skip_whitespace();
      if (key_ == "rope_type" || key_ == "type") return typed = word("default");
      if (key_ == "rope_theta") return real(nested_rope_theta_, {1, 1e15}, "a rope_theta in 1 .. 1e15");
      if (key_ == "partial_rotary_factor") return real(rotary_share_, {1, 1}, "partial_rotary_factor 1");
      others = true;
      return skip();
    });
    value_ = whole;
    field_ = field;
    return (good && (typed || !others)) || wrong(expected);
  }

  bool check_required() {
    FixedText<240> missing("missing:");
    bool complete = true;
    for (std::size_t i = 0; i < required_fields; ++i) {
      if ((seen_ >> i & 1U) != 0) continue;
      missing.append(complete ? " " : ", ").append(field_names[i]);
      complete = false;
    }
    if (!complete) fault_ = at(0, missing.view());
    return complete;
  }
  /// Fills in what follows from the rest, and has fields that must go together do so.
  bool complete() {
    DecoderOptions& decoder = config_.decoder;
    decoder.rope_base = nested_rope_theta_ > 0 ? nested_rope_theta_ : rope_theta_;
    if (decoder.kv_heads == absent) decoder.kv_heads = decoder.heads;
    if (decoder.head_dim == absent) decoder.head_dim = equal_share(decoder.dim, decoder.heads);
    if (decoder.head_dim == absent) {
      return together("hidden_size: expected a multiple of num_attention_heads, ", decoder.heads, decoder.dim);
    }
    if (decoder.heads % decoder.kv_heads != 0) {
      return together("num_key_value_heads: expected a divisor of num_attention_heads, ", decoder.heads,
                      decoder.kv_heads);
    }
    if (decoder.head_dim % 2 != 0) return together("head_dim: expected a multiple of ", 2, decoder.head_dim);
    if (config_.begin_token >= decoder.vocabulary) {
      return together("bos_token_id: expected less than vocab_size, ", decoder.vocabulary, config_.begin_token);
    }
    for (const std::int32_t token : config_.ends()) {
      if (token >= decoder.vocabulary) {
        return together("eos_token_id: expected less than vocab_size, ", decoder.vocabulary, token);
      }
    }
    return true;
  }
  bool together(std::string_view expected, Index number, Index got) {
    fault_ = at(0, expected);
    fault_.reason.append(number).append(", got ").append(got);
    return false;
  }

  /// The value of field_ is not what was expected: says so, and shows it if it is JSON at all.
  bool wrong(std::string_view expected) {
    const std::optional<FixedText<60>> got = shown();
    if (!got) return false;
    failed(value_.position(), "expected ");
    fault_.reason.append(expected).append(", got ").append(got->view());
    return false;
  }
  bool failed(std::size_t position, std::string_view reason) {
    fault_ = at(position, name(field_));
    fault_.reason.append(": ").append(reason);
    return false;
  }
  LlamaConfig config_;
  Field field_ = Field::model_type;
  unsigned seen_ = 0;
  double rope_theta_ = 10000;
  double nested_rope_theta_ = 0;  ///< in rope_parameters, where newer files have it; it counts if both are there
  double rotary_share_ = 1;
};

/// The one BasicLlamaConfigParser, which is a template so that only who uses it compiles it.
using LlamaConfigParser = BasicLlamaConfigParser<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
