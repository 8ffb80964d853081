#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/json_config_parser.hpp>
#include <eigenformer/io/peft_config.hpp>
#include <eigenformer/io/result.hpp>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// Reads one adapter_config.json: first for its kind, wherever that stands, then field by field. What is JSON but not
/// what was expected is collected, so that one error can name everything.
template <class = void>
class BasicPeftConfigParser : private JsonConfigParser<PeftLimits::name_bytes> {
  using Parser = JsonConfigParser<PeftLimits::name_bytes>;

 public:
  static constexpr std::string_view format = "adapter config";

  explicit BasicPeftConfigParser(std::string_view text) : Parser(text, format) {}

  /// `problems` receives a line for each thing that is not as expected, after which there is no configuration.
  Result<PeftConfig> parse(std::string& problems) {
    if (!(check_text() && object([this] { return kind(); }) && check_rest())) return fault_;
    check_keys();
    if (known_kind_) {
      scanner_ = JsonScanner(text_);
      if (!object([this] { return any_field(); })) return fault_;
      std::visit([this](const auto& config) { this->complete(config); }, config_);
    }
    problems = std::move(problems_);
    if (!problems.empty()) return at(0, "these fields are not as expected:");
    return std::move(config_);
  }

 private:
  static constexpr int most_lines = 100;  // of problems
  static constexpr std::string_view rank_range = "an integer in 1 .. 65536";
  static constexpr std::string_view name_list = "a list of up to 10000 names of 1 to 4096 bytes";

  bool kind() {
    if (keys_.size() == PeftLimits::fields) return not_json("expected at most 1000 fields");
    if (!keys_.emplace(key_).second) repeated_.emplace(key_);
    if (key_ != "peft_type") return skip();
    field_ = key_;
    begin_value();
    known_kind_ =
        is<PeftLoraConfig>("LORA") || is<PeftPrefixConfig>("PREFIX_TUNING") || is<PeftPromptConfig>("PROMPT_TUNING");
    return known_kind_ || wrong("\"LORA\", \"PREFIX_TUNING\" or \"PROMPT_TUNING\"");
  }
  template <class Config>
  bool is(std::string_view name) {
    if (!again(read_word(name))) return false;
    config_ = Config();
    return true;
  }
  void check_keys() {
    for (const std::string& key : repeated_) problem(key, "expected once");
    require_key("peft_type");
  }
  void require_key(std::string_view name) {
    if (keys_.find(name) == keys_.end()) problem(name, "missing");
  }

  bool any_field() {
    field_ = key_;
    begin_value();
    return std::visit([this](auto& config) { return this->field(config); }, config_);
  }
  bool field(PeftLoraConfig& lora) {
    if (field_ == "r") return read_integer(lora.rank, PeftLimits::rank) || wrong(rank_range);
    if (field_ == "lora_alpha") return alpha(lora.alpha);
    if (field_ == "lora_dropout") {
      return (read_number(lora.dropout, {0, 1}) && lora.dropout < 1) || wrong("a number of at least 0 and below 1");
    }
    if (field_ == "use_rslora") return boolean(lora.rank_stabilized);
    if (field_ == "use_dora") return boolean(lora.learned_magnitude);
    if (field_ == "target_modules") return targets(lora.targets);
    if (field_ == "exclude_modules") return null() || names(lora.excluded) || wrong(name_list);
    if (field_ == "rank_pattern") {
      return exceptions(lora.ranks,
                        [this](Index& v) { return read_integer(v, PeftLimits::rank) || wrong(rank_range); });
    }
    if (field_ == "alpha_pattern") return exceptions(lora.alphas, [this](double& v) { return alpha(v); });
    if (field_ == "bias") return read_word("none") || wrong("\"none\"");
    if (field_ == "init_lora_weights") return initial_weights();
    if (field_ == "fan_in_fan_out") {  // how PEFT's base stores its weight; A and B are the same either way
      bool transposed = false;
      return boolean(transposed);
    }
    return no_difference({"megatron_core", "qalora_group_size", "eva_config", "runtime_config"}) || unused();
  }
  bool field(PeftPrefixConfig& prefix) {
    if (field_ == "num_virtual_tokens") return virtual_tokens(prefix.virtual_tokens);
    if (field_ == "num_layers") return size(prefix.layers, PeftLimits::layers);
    if (field_ == "num_attention_heads") return size(prefix.kv_heads, PeftLimits::heads);
    if (field_ == "token_dim") return size(prefix.features, PeftLimits::features);
    if (field_ == "num_transformer_submodules") return one();
    // The file holds what a projection has made of its vectors.
    return no_difference({"prefix_projection", "encoder_hidden_size", "init_weights"}) || unused();
  }
  bool field(PeftPromptConfig& prompt) {
    if (field_ == "num_virtual_tokens") return virtual_tokens(prompt.virtual_tokens);
    if (field_ == "token_dim") return size(prompt.features, PeftLimits::features);
    if (field_ == "num_transformer_submodules") return one();
    return no_difference({"num_layers", "num_attention_heads", "prompt_tuning_init", "prompt_tuning_init_text",
                          "tokenizer_name_or_path", "tokenizer_kwargs"}) ||
           unused();
  }

  /// Passes over these fields and those that say where an adapter comes from: what it computes is the same.
  bool no_difference(std::initializer_list<std::string_view> names) {
    constexpr std::array<std::string_view, 7> common = {
        "peft_type",    "base_model_name_or_path", "task_type",   "revision",
        "peft_version", "inference_mode",          "auto_mapping"};
    return (std::find(names.begin(), names.end(), field_) != names.end() ||
            std::find(common.begin(), common.end(), field_) != common.end()) &&
           skip();
  }
  /// A field that would change what the adapter computes in a way that is not implemented, or of an unknown meaning; it
  /// may be there with nothing in it, as PEFT writes what is not used.
  bool unused() {
    if (null() || scanner_.take_word("false")) return true;
    if (again(read_word("")) || again(scanner_.take('[') && scanner_.take(']'))) return true;
    if (again(scanner_.take('{') && scanner_.take('}'))) return true;
    return wrong("nothing, null or false, as it is not implemented");
  }

  /// Leaves the scanner before the value if it was not read.
  bool again(bool read) {
    if (!read) scanner_ = value_;
    return read;
  }
  bool null() { return scanner_.take_word("null"); }
  bool boolean(bool& value) { return read_boolean(value) || wrong("true or false"); }
  bool alpha(double& value) {
    return (read_number(value, {0, PeftLimits::alpha}) && value > 0) || wrong("a number above 0 and up to 1e6");
  }
  bool virtual_tokens(Index& value) {
    return read_integer(value, PeftLimits::virtual_tokens) || wrong("an integer in 1 .. 1048576");
  }
  bool size(Index& value, Index most) {
    if (null() || read_integer(value, most)) return true;
    FixedText<80> expected("null or an integer in 1 .. ");
    return wrong(expected.append(most).view());
  }
  bool one() {
    Index value = 1;
    return null() || read_integer(value, 1) || wrong("1, as an encoder and a decoder together are not implemented");
  }
  /// How A and B started makes no difference, unless that took something out of the base.
  bool initial_weights() {
    bool random = false;
    if (again(read_boolean(random))) return true;
    for (const std::string_view start : {"gaussian", "eva", "orthogonal"}) {
      if (again(read_word(start))) return true;
    }
    return wrong("true, false, \"gaussian\", \"eva\" or \"orthogonal\", which leave the base as it is");
  }

  bool targets(PeftModules& modules) {
    if (again(read_word("all-linear"))) return true;
    return (names(modules) && !modules.empty()) ||
           wrong("\"all-linear\" or a list of up to 10000 names, no regular expression");
  }
  bool names(PeftModules& modules) {
    if (!scanner_.take('[')) return false;
    if (scanner_.take(']')) return true;
    do {
      std::size_t length = 0;
      if (scanner_.string(key_text_, length) != JsonFault::none || length == 0) return false;
      if (modules.size() == PeftLimits::names) return false;
      modules.emplace(key_text_.data(), length);
    } while (scanner_.take(','));
    return scanner_.take(']');
  }
  template <class Value>
  bool exceptions(PeftExceptions<Value>& values, const auto& read) {
    if (null()) return true;
    if (scanner_.peek() != '{') return wrong("an object of names and numbers");
    std::size_t count = 0;
    const bool json = object([&] {
      entry_.reset();
      if (count++ == PeftLimits::names) problem("expected at most 10000 names");
      if (count > PeftLimits::names) return skip();
      entry_ = key_;
      begin_value();
      std::string module;
      if (!spell(*entry_, module)) {
        problem("expected a name of 1 to 4096 bytes that is no regular expression");
        return skip();
      }
      Value value{};
      const std::size_t before = problems_.size();
      if (!read(value)) return false;
      if (problems_.size() == before && !values.emplace(std::move(module), value).second) problem("expected once");
      return true;
    });
    entry_.reset();
    return json;
  }
  /// The name that a key spells. To PEFT it is a regular expression for the end of a name in whole parts. Taken are those
  /// that mean what they say: a dot, escaped or not, is a dot, and ^ in front makes it the whole name.
  static bool spell(std::string_view key, std::string& name) {
    for (std::size_t i = 0; i < key.size(); ++i) {
      if (key[i] == '\\' && key.substr(i).starts_with("\\.")) ++i;
      const bool literal = key[i] == '.' || (key[i] == '^' && i == 0);
      if (!literal && std::string_view("\\^$|?*+()[]{}").find(key[i]) != std::string_view::npos) return false;
      name += key[i];
    }
    return !name.empty() && name != "^";
  }

  void complete(const PeftLoraConfig& lora) {
    require_key("target_modules");
    field_ = "rank_pattern";
    require_one_for_each_module(lora.ranks);
    field_ = "alpha_pattern";
    require_one_for_each_module(lora.alphas);
  }
  void complete(const PeftPrefixConfig&) { require_key("num_virtual_tokens"); }
  void complete(const PeftPromptConfig&) { require_key("num_virtual_tokens"); }
  template <class Value>
  void require_one_for_each_module(const PeftExceptions<Value>& values) {
    for (const auto& exception : values) {
      const bool whole = exception.first.starts_with('^');
      any_end_of(std::string_view(exception.first).substr(whole ? 1 : 0), [&](std::string_view end) {
        const auto other = values.find(end);
        if (other == values.end() || other->second == exception.second) return false;
        entry_ = exception.first;
        FixedText<160> reason("expected what \"");
        problem(reason.append_escaped(end).append("\" says, which names the same module").view());
        return true;
      });
    }
    entry_.reset();
  }

  /// Notes that the value is not what was expected, and passes over it; false if it is not JSON.
  bool wrong(std::string_view expected) {
    const std::optional<FixedText<60>> got = shown();
    if (got) problem(std::string("expected ").append(expected).append(", got ").append(got->view()));
    return got.has_value();
  }
  void problem(std::string_view what) { problem(field_, what); }
  void problem(std::string_view name, std::string_view what) {
    if (lines_ > most_lines) return;
    if (lines_++ == most_lines) {
      problems_ += "\n  and more";
      return;
    }
    FixedText<80> field;
    FixedText<80> entry;
    field.append_escaped(name.empty() ? "a name that is empty or longer than 4096 bytes" : name);
    problems_.append("\n  ").append(field.view());
    if (entry_) problems_.append(" \"").append(entry.append_escaped(*entry_).view()).append("\"");
    problems_.append(": ").append(what);
  }

  PeftConfig config_;
  bool known_kind_ = false;
  PeftModules keys_;                  ///< of the outermost object
  PeftModules repeated_;              ///< of them
  std::string field_;                 ///< whose value is read
  std::optional<std::string> entry_;  ///< inside it
  std::string problems_;
  int lines_ = 0;
};

/// The one BasicPeftConfigParser, which is a template so that only who uses it compiles it.
using PeftConfigParser = BasicPeftConfigParser<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
