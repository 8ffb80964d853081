// SPDX-License-Identifier: MIT

#include "writing.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace ef = eigenformer;

namespace {

double seconds_of(const auto& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Number of bytes of the UTF-8 sequence at the start of `text`, or 0 if there is none.
std::size_t utf8_sequence(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t size = first < 0x80                    ? 1
                           : first >= 0xc2 && first < 0xe0 ? 2
                           : first >= 0xe0 && first < 0xf0 ? 3
                           : first >= 0xf0 && first < 0xf5 ? 4
                                                           : 0;
  if (size == 0 || size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0U) != 0x80U) return 0;
  }
  return size;
}

}  // namespace

std::int32_t draw(std::span<const float> logits, double temperature, ef::Random& random) {
  const auto likeliest = std::max_element(logits.begin(), logits.end());
  if (!(temperature > 0)) return static_cast<std::int32_t>(likeliest - logits.begin());
  const auto largest = static_cast<double>(*likeliest);
  std::vector<double> sums;
  double sum = 0;
  for (const float logit : logits) {
    sum += std::exp((static_cast<double>(logit) - largest) / temperature);
    sums.push_back(sum);
  }
  const auto chosen = std::upper_bound(sums.begin(), sums.end(), random.uniform() * sum);
  return static_cast<std::int32_t>(std::min<std::ptrdiff_t>(chosen - sums.begin(), std::ssize(logits) - 1));
}

Writing write(const Model& model, const std::string& prompt, const Options& options, ef::Context& context,
              const volatile std::sig_atomic_t& interrupted) {
  const auto window = static_cast<std::size_t>(options.length);
  Writing result;
  std::vector<std::int32_t> history;
  for (const char byte : prompt) history.push_back(static_cast<unsigned char>(byte));
  ef::Random random(options.seed);
  ef::Matrix<float> logits(1, 256);
  Model::KeyValues key_values = model.key_values(1, options.length);
  for (long i = 0; i < options.generate && interrupted == 0; ++i) {
    if (i == 0 || key_values.front().length() == options.length) {
      const std::size_t kept = std::min(history.size(), i == 0 ? window : std::max(window / 2, std::size_t{1}));
      const auto recent = std::span<const std::int32_t>(history).last(kept);
      for (auto& layer : key_values) layer.clear();
      result.prefill_seconds += seconds_of([&] { model.next_logits(recent, logits, key_values, context); });
      result.prefill_tokens += static_cast<long>(kept);
    } else {
      const auto newest = std::span<const std::int32_t>(history).last(1);
      result.decode_seconds += seconds_of([&] { model.next_logits(newest, logits, key_values, context); });
      ++result.decode_tokens;
    }
    history.push_back(draw({logits.data(), 256}, options.temperature, random));
    result.text += static_cast<char>(history.back());
  }
  return result;
}

std::string printable(const std::string& text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t size = utf8_sequence(std::string_view(text).substr(i));
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool plain = size > 1 || (size == 1 && ((byte >= 0x20 && byte != 0x7f) || byte == '\n' || byte == '\t'));
    shown += plain ? text.substr(i, size) : "?";
    i += std::max<std::size_t>(size, 1);
  }
  return shown;
}
