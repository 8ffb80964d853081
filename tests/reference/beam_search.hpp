#pragma once
// SPDX-License-Identifier: MIT

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <vector>

namespace reference {

/// A written sequence and its log-probability; the end, if it was reached, is its last token.
struct Written {
  std::vector<int> tokens;
  double log_probability = 0;
  double score = 0;
};

/// Log-probabilities of the token behind a prefix, by token.
using NextLogProbabilities = std::function<std::vector<double>(const std::vector<int>& prefix)>;

struct SearchCase {
  int end = 1;
  std::size_t max_length = 1;
  std::size_t beams = 1;
  double alpha = 0;
};

/// log P / ((5 + |Y|) / 6)^alpha  (Wu et al. 2016, equation 14).
inline double penalised(const Written& w, double alpha) {
  return w.log_probability / std::pow((5.0 + static_cast<double>(w.tokens.size())) / 6.0, alpha);
}
inline bool is_over(const Written& w, const SearchCase& c) {
  return (!w.tokens.empty() && w.tokens.back() == c.end) || w.tokens.size() == c.max_length;
}
inline void rank(std::vector<Written>& all, double alpha) {
  for (Written& w : all) w.score = penalised(w, alpha);
  std::stable_sort(all.begin(), all.end(), [](const Written& a, const Written& b) { return a.score > b.score; });
}

/// Every sequence that can be written, the best first.
inline std::vector<Written> all_sequences(const NextLogProbabilities& next, const SearchCase& c) {
  std::vector<Written> open = {{}}, over;
  while (!open.empty()) {
    const Written w = open.back();
    open.pop_back();
    const std::vector<double> p = next(w.tokens);
    for (std::size_t v = 0; v < p.size(); ++v) {
      Written longer = {w.tokens, w.log_probability + p[v]};
      longer.tokens.push_back(static_cast<int>(v));
      (is_over(longer, c) ? over : open).push_back(longer);
    }
  }
  rank(over, c.alpha);
  return over;
}

/// Beam search as Sutskever et al. 2014, section 3.2, describe it, by sorting everything: of all continuations the likeliest
/// are kept, and those that are over leave the beam, which has a place less from then on.
inline std::vector<Written> beam_search(const NextLogProbabilities& next, const SearchCase& c) {
  std::vector<Written> open = {{}}, over;
  while (!open.empty()) {
    std::vector<Written> longer;
    for (const Written& w : open) {
      const std::vector<double> p = next(w.tokens);
      for (std::size_t v = 0; v < p.size(); ++v) {
        longer.push_back({w.tokens, w.log_probability + p[v]});
        longer.back().tokens.push_back(static_cast<int>(v));
      }
    }
    std::stable_sort(longer.begin(), longer.end(),
                     [](const Written& a, const Written& b) { return a.log_probability > b.log_probability; });
    longer.resize(std::min(longer.size(), c.beams - over.size()));
    open.clear();
    for (const Written& w : longer) (is_over(w, c) ? over : open).push_back(w);
  }
  rank(over, c.alpha);
  return over;
}

}  // namespace reference
