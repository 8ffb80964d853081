#pragma once
// SPDX-License-Identifier: MIT

#include <string>

/// What counting alone achieves, in bits per byte of the held-out text (its first byte, which nothing precedes, is not
/// predicted, neither here nor by the model). Counts come from the training text.
///   unigram: (count(b) + 1) / (bytes + 256)
///   bigram:  (count(a b) + alpha p(b)) / (count(a) + alpha) with p the unigram and alpha = 1, so a pair never seen has
///            the probability that its second byte deserves
double unigram_bits_per_byte(const std::string& training, const std::string& held_out);
double bigram_bits_per_byte(const std::string& training, const std::string& held_out);
