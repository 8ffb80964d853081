// SPDX-License-Identifier: MIT

#include "baseline.hpp"

#include <array>
#include <cmath>
#include <vector>

namespace {

constexpr std::size_t bytes = 256;

std::size_t at(const std::string& text, std::size_t position) { return static_cast<unsigned char>(text[position]); }

std::array<double, bytes> byte_probabilities(const std::string& training) {
  std::array<double, bytes> probability;
  probability.fill(1);
  for (std::size_t i = 0; i < training.size(); ++i) probability[at(training, i)] += 1;
  for (double& p : probability) p /= static_cast<double>(training.size() + bytes);
  return probability;
}

/// Mean of -log2 probability(previous byte, byte) over the held-out text.
template <class Probability>
double mean_bits(const std::string& held_out, const Probability& probability) {
  double bits = 0;
  for (std::size_t i = 1; i < held_out.size(); ++i)
    bits -= std::log2(probability(at(held_out, i - 1), at(held_out, i)));
  return bits / static_cast<double>(held_out.size() - 1);
}

}  // namespace

double unigram_bits_per_byte(const std::string& training, const std::string& held_out) {
  const std::array<double, bytes> probability = byte_probabilities(training);
  return mean_bits(held_out, [&](std::size_t, std::size_t byte) { return probability[byte]; });
}

double bigram_bits_per_byte(const std::string& training, const std::string& held_out) {
  constexpr double alpha = 1;
  const std::array<double, bytes> unigram = byte_probabilities(training);
  std::vector<double> pairs(bytes * bytes);
  std::array<double, bytes> firsts{};
  for (std::size_t i = 1; i < training.size(); ++i) {
    pairs[at(training, i - 1) * bytes + at(training, i)] += 1;
    firsts[at(training, i - 1)] += 1;
  }
  return mean_bits(held_out, [&](std::size_t previous, std::size_t byte) {
    return (pairs[previous * bytes + byte] + alpha * unigram[byte]) / (firsts[previous] + alpha);
  });
}
