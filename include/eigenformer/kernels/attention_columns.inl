// SPDX-License-Identifier: MIT
// Body for attention.hpp: the columns of a task, the panels they are cut into, and the keys that each of them sees.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// Which keys some columns see: all of them those of `full`, none a key outside `any`.
struct PanelKeys {
  KeyRange any{(std::numeric_limits<Index>::max)(), 0};
  KeyRange full{0, (std::numeric_limits<Index>::max)()};

  void add(const KeyRange& live) {
    full = {(std::max)(full.first, live.first), (std::min)(full.last, live.last)};
    if (live.first >= live.last) return;
    any = {(std::min)(any.first, live.first), (std::max)(any.last, live.last)};
  }
};

template <class T>
KeyRange column_keys(const AttentionProblem<T>& problem, const AttentionTask& task, Index column) {
  const KeyRange& live = problem.live_keys(task.batch, task.position((std::min)(column, task.columns - 1)));
  return {(std::max)(live.first, task.keys.first), (std::min)(live.last, task.keys.last)};
}

template <class T>
PanelKeys panel_keys(const AttentionProblem<T>& problem, const AttentionTask& task, Index column, Index width) {
  PanelKeys keys;
  for (Index c = column; c < (std::min)(column + width, task.columns); ++c) keys.add(column_keys(problem, task, c));
  return keys;
}

/// Columns of a task that are worked on together, and the keys that all of them and those of each vector see.
struct Panel {
  Index column = 0;
  int vectors = 0;
  PanelKeys keys;
  PanelKeys of_vector[tile_vectors];
};

/// The columns of a task in panels of about equal width, and each one's keys. Beyond the last, it repeats.
template <class T>
struct TaskColumns {
  static constexpr Index most_panels = attention_query_tile / panel_width<T>;
  KeyRange live[attention_query_tile];
  Panel panels[most_panels];
  Index count;                                        ///< of panels
  Index columns;                                      ///< whole vectors
  KeyRange any;                                       ///< keys that some column sees
  std::uint32_t dropout_start[attention_query_tile];  ///< of each column's stream, where weights are dropped
  std::uint32_t dropout_key[attention_query_tile];

  TaskColumns(const AttentionProblem<T>& problem, const AttentionTask& task)
      : columns(round_up(task.columns, lanes<T>)), any{problem.keys, 0} {
    const Index vectors = columns / lanes<T>;
    count = round_up(vectors, tile_vectors) / tile_vectors;
    Index column = 0;
    for (Index i = 0; i < count; ++i) {
      Panel& panel = panels[i];
      panel.column = column;
      panel.vectors = static_cast<int>((vectors * (i + 1)) / count - column / lanes<T>);
      for (int v = 0; v < panel.vectors; ++v) {
        for (Index lane = 0; lane < lanes<T>; ++lane, ++column) {
          live[column] = column_keys(problem, task, column);
          panel.of_vector[v].add(live[column]);
          panel.keys.add(live[column]);
        }
      }
      any = {(std::min)(any.first, panel.keys.any.first), (std::max)(any.last, panel.keys.any.last)};
    }
    if (problem.dropout.drops()) draw(problem, task);
  }
  DropoutColumns dropout(Index column) const { return {dropout_start + column, dropout_key + column}; }

 private:
  void draw(const AttentionProblem<T>& problem, const AttentionTask& task) {
    for (Index column = 0; column < columns; ++column) {
      const Index c = (std::min)(column, task.columns - 1);
      const DropoutStream stream = problem.dropout_stream(task.batch, task.head(c), task.position(c));
      dropout_start[column] = stream.start;
      dropout_key[column] = stream.key;
    }
  }
};

/// What of `depth` rows that begin at a key each vector of a panel looks at.
inline LiveRows live_rows(const Panel& panel, Index key, Index depth) {
  LiveRows live;
  Index end = 0;
  for (int v = 0; v < tile_vectors; ++v) {
    if (v < panel.vectors) end = (std::clamp)(panel.of_vector[v].any.last - key, end, depth);
    live.end[v] = end;
  }
  return live;
}

/// Rows of a tile that a panel looks at, in whole register tiles.
struct PanelRows {
  Index begin;
  Index depth;           ///< 0 if there are none
  bool masked;           ///< whether some column does not see one of them
  LiveRows live;         ///< from begin on
  bool flagged = false;  ///< masked, and flags say which columns see which rows

  /// Rows up to the last that a column sees.
  Index live_depth() const { return live.end[tile_vectors - 1]; }
};
inline PanelRows panel_rows(const Panel& panel, Index first, Index rows) {
  const Index begin = (std::max)(panel.keys.any.first - first, Index(0)) / tile_rows * tile_rows;
  const Index end = (std::min)(panel.keys.any.last - first, rows);
  if (begin >= end) return {0, 0, false, {}};
  const KeyRange& full = panel.keys.full;
  return {begin, round_up(end, tile_rows) - begin, first + begin < full.first || first + end > full.last,
          live_rows(panel, first + begin, end - begin)};
}

/// The live keys of a panel's columns relative to a key, as far as a tile reaches.
template <class T>
void relative_keys(const KeyRange* live, Index width, Index key, T* first, T* last) {
  for (Index i = 0; i < width; ++i) {
    first[i] = static_cast<T>((std::clamp)(live[i].first - key, Index(0), 2 * attention_key_tile));
    last[i] = static_cast<T>((std::clamp)(live[i].last - key, Index(0), 2 * attention_key_tile));
  }
}

/// The first n of 64 bits.
inline std::uint64_t first_bits(Index n) { return n >= 64 ? ~std::uint64_t(0) : (std::uint64_t(1) << n) - 1; }

/// What one vector of columns sees of up to 64 rows, where that is no single run: a bit for each row, in a word for each
/// column, or two words if they are of 32 bits.
template <class T>
struct LiveFlags {
  using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  static constexpr Index parts = sizeof(T) == 4 ? 2 : 1;
  typedef Word Words __attribute__((vector_size(sizeof(Vec<T>))));
  const T* words;
  Index stride;  ///< from the first words to the second

  EIGENFORMER_INLINE Mask<T> operator()(Index row) const {
    constexpr int digits = 8 * sizeof(T);
    const Vec<T> word = Vec<T>::load(words + row / digits * stride);
    // The bit becomes one of the exponent, so that it makes a number above 0 that is no denormal one.
    const Words flag = ((Words)word.value >> static_cast<int>(row % digits) & Word(1)) << (digits - 3);
    return Vec<T>{(decltype(word.value))flag} > Vec<T>::zero();
  }
};

/// What the columns of a panel see of some rows.
enum class SeenRows { none, some, all };

/// The same where a mask lets them see more than one run of keys. Of `some`, the flags say which columns see which rows, as
/// LiveFlags has it.
///   live: of each column    depth: at most 64
template <class T>
SeenRows seen_rows(const AttentionProblem<T>& problem, const AttentionTask& task, const KeyRange* live, Index column,
                   Index width, Index key, Index depth, T* flags) {
  using Word = typename LiveFlags<T>::Word;
  std::uint64_t seen = 0;
  std::uint64_t any = 0;
  std::uint64_t all = first_bits(depth);
  for (Index i = 0, before = -1; i < width; ++i) {
    const Index position = task.position((std::min)(column + i, task.columns - 1));
    if (position != before) {
      before = position;
      const Index begin = (std::clamp)(live[i].first - key, Index(0), depth);
      const Index end = (std::clamp)(live[i].last - key, begin, depth);
      seen = problem.live_bits.from(task.batch * problem.query.length() + position, key) & first_bits(end) &
             ~first_bits(begin);
      any |= seen;
      all &= seen;
    }
    for (Index part = 0; part < LiveFlags<T>::parts; ++part) {
      const Word word = static_cast<Word>(seen >> (part * 32));
      std::memcpy(flags + part * width + i, &word, sizeof(word));
    }
  }
  if (any == 0) return SeenRows::none;
  if (all == first_bits(depth)) return SeenRows::all;
  return SeenRows::some;
}

/// Looks at what a mask that lets columns see more than one run of keys leaves of a panel's rows; false if nothing.
template <class T>
bool look_at_pattern(const AttentionProblem<T>& problem, const AttentionTask& task, const TaskColumns<T>& columns,
                     const Panel& panel, Index first, T* flags, PanelRows& rows) {
  if (problem.live_bits.data == nullptr) return true;
  const SeenRows seen = seen_rows(problem, task, columns.live + panel.column, panel.column, panel.vectors * lanes<T>,
                                  first + rows.begin, rows.live_depth(), flags);
  rows.masked = rows.flagged = seen == SeenRows::some;
  return seen != SeenRows::none;
}

/// Drops weights [rows, width] of a panel, or gradients of them, as far as they are wanted; row 0 is key `key`.
template <class T>
void drop_weights(const AttentionProblem<T>& problem, const TaskColumns<T>& columns, const Panel& panel,
                  const LiveRows& live, Index key, T* weights) {
  if (!problem.dropout.drops()) return;
  for (int v = 0; v < panel.vectors; ++v) {
    drop_rows(weights + v * lanes<T>, live.end[v], panel.vectors * lanes<T>,
              columns.dropout(panel.column + v * lanes<T>), key, problem.dropout.limit);
  }
}

/// The biases of a panel's scores, from its first column and row on.
template <class T>
struct PanelBias {
  const T* data = nullptr;  ///< null: none
  Index key_step = 0;
};

/// What is added to a panel's scores from a key on.
template <class T>
PanelBias<T> panel_bias(const AttentionProblem<T>& problem, const AttentionTask& task, const Panel& panel, Index key) {
  const ScoreBiasRows<T>& bias = problem.bias;
  if (bias.data == nullptr) return {};
  const Index column = bias.at(task.first_head, task.first_column + panel.column);
  return {bias.data + column + key * bias.key_step, bias.key_step};
}

/// Walks the key tiles of a task with the next one in sight.
template <class T>
class KeyWalk {
 public:
  KeyTile<T> tile;     ///< at hand
  bool first = false;  ///< whether that is the first one
  bool last = false;   ///< or the last one

  KeyWalk(const AttentionProblem<T>& problem, const AttentionTask& task, KeyRange range)
      : tiles_(problem, task, range), dims_{problem.query.head_dim(), problem.value_dim} {
    more_ = tiles_.next(next_, attention_key_tile);
    ask_for_next(0, 1);
  }
  bool advance() {
    if (!more_) return false;
    first = tile.rows == 0;
    tile = next_;
    more_ = tiles_.next(next_, attention_key_tile);
    last = !more_;
    return true;
  }
  /// Asks for one part of several of the tile after this one.
  void ask_for_next(Index part, Index parts) const {
    if (!more_) return;
    for (Index r = next_.rows * part / parts; r < next_.rows * (part + 1) / parts; ++r) {
      ask_for(next_.keys, r, dims_[0]);
      ask_for(next_.values, r, dims_[1]);
    }
  }

 private:
  KeyTiles<T> tiles_;
  KeyTile<T> next_;
  bool more_ = false;
  Index dims_[2];
};

/// Asks for the columns behind those of a panel, as far as the task has them.
template <class View>
void ask_for_columns_behind(const Panel& panel, const View& x, const AttentionTask& task, Index width) {
  const Index column = panel.column + width;
  for (Index c = column; c < (std::min)(column + width, task.columns); ++c) {
    ask_for(x.at(task.batch, task.position(c), task.head(c)), x.head_dim());
  }
}

/// panel[e][c] = factor x[column + c][e]; columns beyond the last repeat it.
template <class T>
void pack_columns(const ConstHeadsView<T>& x, const AttentionTask& task, Index column, int vectors, T factor,
                  T* panel) {
  for (int v = 0; v < vectors; ++v) {
    const T* rows[Vec<T>::lanes];
    for (Index i = 0; i < lanes<T>; ++i) {
      const Index c = (std::min)(column + v * lanes<T> + i, task.columns - 1);
      rows[i] = x.at(task.batch, task.position(c), task.head(c));
    }
    transpose_in<T>(rows, x.head_dim(), factor, panel + v * lanes<T>, vectors * lanes<T>);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
