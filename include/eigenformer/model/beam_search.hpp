#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/memory.hpp>
#include <eigenformer/kernels/norm.hpp>
#include <eigenformer/model/search_options.hpp>
#include <eigenformer/ops/log_softmax.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// What a beam search keeps of one source: unfinished sequences, the likeliest first, and finished ones. Each unfinished
/// one has a row, where logits and caches are its own.
template <class = void>
class BasicBeam {
 public:
  /// A sequence is copied from one row to another when two of those that go on have it in common.
  struct Copy {
    Index from;
    Index to;
  };

  explicit BasicBeam(const SearchOptions& options) : options_(options), open_(1) {}

  bool done() const { return open_.empty(); }

  /// Each sequence with each token behind it, the likeliest of them: as many as there are beams without those finished.
  ///   logits, log_probabilities: [beams, V]
  template <class T>
  void advance(ConstRowsView<T> logits, ConstRowsView<T> log_probabilities) {
    select(logits, log_probabilities);
    std::vector<Open> next;
    for (const Candidate& candidate : best_) {
      const Open& parent = open_[static_cast<std::size_t>(candidate.parent)];
      Open child = {parent.sequence, parent.row};
      child.sequence.tokens.push_back(candidate.token);
      child.sequence.log_probability = candidate.log_probability;
      if (candidate.token == options_.end || length(child) == options_.max_length) {
        finish(std::move(child.sequence));
      } else {
        next.push_back(std::move(child));
      }
    }
    open_ = std::move(next);
    place();
  }

  /// What to copy before the next step, in any order: no row is both read and written.
  const std::vector<Copy>& copies() const { return copies_; }
  /// The last token of each row; rows in which nothing is going on get the end.
  void last_tokens(TokensView::Token* tokens) const {
    std::fill_n(tokens, options_.beams, options_.end);
    for (const Open& open : open_) tokens[open.row] = open.sequence.tokens.back();
  }
  /// The best first; of equal scores the one that was finished first.
  std::vector<Hypothesis> finished() const {
    std::vector<Hypothesis> result = finished_;
    std::stable_sort(result.begin(), result.end(),
                     [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    return result;
  }

 private:
  struct Open {
    Hypothesis sequence;
    Index row = 0;
  };
  struct Candidate {
    double log_probability;
    Index parent;  ///< which of the open ones
    double logit;  ///< tells apart what log-probabilities, being rounded, do not
    TokensView::Token token;
  };
  static bool before(const Candidate& a, const Candidate& b) {
    if (a.log_probability != b.log_probability) return a.log_probability > b.log_probability;
    if (a.parent != b.parent) return a.parent < b.parent;
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  }
  static Index length(const Open& open) { return static_cast<Index>(open.sequence.tokens.size()); }

  template <class T>
  void select(const ConstRowsView<T>& logits, const ConstRowsView<T>& log_probabilities) {
    const std::size_t width = static_cast<std::size_t>(options_.beams) - finished_.size();
    best_.clear();
    for (Index parent = 0; parent < static_cast<Index>(open_.size()); ++parent) {
      const Open& open = open_[static_cast<std::size_t>(parent)];
      for (Index token = 0; token < logits.features(); ++token) {
        const T step = log_probabilities(open.row, token);
        if (!kernels::is_finite(step)) continue;  // a token that cannot be
        const Candidate candidate = {open.sequence.log_probability + static_cast<double>(step), parent,
                                     static_cast<double>(logits(open.row, token)),
                                     static_cast<TokensView::Token>(token)};
        if (best_.size() == width && !before(candidate, best_.back())) continue;
        if (best_.size() == width) best_.pop_back();
        best_.insert(std::upper_bound(best_.begin(), best_.end(), candidate, before), candidate);
      }
    }
    require<ValueError>(!best_.empty(), "beam_search", "expected logits of which one at least is a finite number");
  }

  void finish(Hypothesis sequence) {
    sequence.score =
        sequence.log_probability / length_penalty(static_cast<Index>(sequence.tokens.size()), options_.length_penalty);
    finished_.push_back(std::move(sequence));
  }

  /// The first of those that go on from a row keeps it, the others take rows from which none goes on.
  void place() {
    copies_.clear();
    std::vector<char> taken(static_cast<std::size_t>(options_.beams), 0);
    std::vector<Open*> homeless;
    for (Open& open : open_) {
      char& row = taken[static_cast<std::size_t>(open.row)];
      if (row != 0) homeless.push_back(&open);
      row = 1;
    }
    Index free = 0;
    for (Open* const open : homeless) {
      while (taken[static_cast<std::size_t>(free)] != 0) ++free;
      copies_.push_back({open->row, free});
      open->row = free++;
    }
  }

  SearchOptions options_;
  std::vector<Open> open_;
  std::vector<Hypothesis> finished_;
  std::vector<Candidate> best_;
  std::vector<Copy> copies_;
};

/// The one BasicBeam, which is a template so that only who uses it compiles it.
using Beam = BasicBeam<>;

}  // namespace detail

/// Likely sequences for each sequence of the source, or behind each prompt, the best first: at every step the likeliest
/// continuations of those kept so far are kept, and one that ends is finished and leaves the beam to the others
/// (Sutskever et al. 2014, section 3.2). Over when as many are finished as there are beams, or at max_length, where what
/// is there counts as it is. Ranked by log-probability / length_penalty (Wu et al. 2016). Equal log-probabilities are told
/// apart by the rank of what they continue, then by the token's number, so that results do not depend on the machine's
/// mood. One beam is greedy_search.
///   model: an EncoderDecoder with a Source, a Decoder with Prompts, or what has their vocabulary, key_values and
///          next_logits
///   throws what the options' check and the model throw, ValueError if no logit is a finite number
/// @code
/// ef::Transformer<float> model({.vocabulary = 97, .dim = 64, .encoder_layers = 1, .decoder_layers = 1}, ef::Random(42));
/// ef::Context context;
/// const std::vector<std::int32_t> source = {5, 17, 3};
/// const auto found = ef::beam_search(model, ef::Source(source), {.start = 0, .end = 1, .max_length = 9}, context);
/// const std::vector<std::int32_t>& best = found[0][0].tokens;  // of the first source
/// @endcode
template <class Model, class Source>
std::vector<std::vector<Hypothesis>> beam_search(const Model& model, const Source& source, const SearchOptions& options,
                                                 Context& context) {
  using T = typename Model::Scalar;
  require_search_options(options, model.vocabulary(), "beam_search");
  const Index beams = options.beams;
  auto key_values = model.key_values(source, {.capacity = options.max_length, .sequences = beams}, context);
  std::vector<detail::Beam> all(key_values.lengths.size(), detail::Beam(options));
  const Index rows = static_cast<Index>(all.size()) * beams;
  std::vector<TokensView::Token> last = detail::first_tokens(key_values, rows, options);
  Matrix<T> logits(rows, model.vocabulary()), log_probabilities(rows, model.vocabulary());
  const auto done = [](const detail::Beam& beam) { return beam.done(); };
  while (!std::all_of(all.begin(), all.end(), done)) {
    model.next_logits(TokensView(last.data(), {rows, 1}), logits, key_values, context);
    log_softmax<T>(logits, log_probabilities, context);
    Index first = 0;
    for (detail::Beam& beam : all) {
      if (!beam.done()) {
        beam.advance<T>(logits.middleRows(first, beams), log_probabilities.middleRows(first, beams));
        for (const auto& copy : beam.copies()) key_values.copy_sequence(first + copy.from, first + copy.to);
      }
      beam.last_tokens(last.data() + first);
      first += beams;
    }
  }
  std::vector<std::vector<Hypothesis>> found;
  found.reserve(all.size());
  for (const detail::Beam& beam : all) found.push_back(beam.finished());
  return found;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
