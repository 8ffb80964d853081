// SPDX-License-Identifier: MIT
// Body for bit_product.hpp. A product of bits is a sum of some of the codes. For each eight inputs the sums of subsets of
// their codes are put into tables, once for each row; then the bits of a weight say which to add. A lookup in a register of
// bytes serves four inputs of as many outputs, and its sum is in two digits, s = low + 32 (high - 16), so small that
// eight of them fit a byte, and 64 of them 16 bits.
//
// That is four multiplications for each lookup, where other ways have one for each byte. Measured on one core of a Zen 5 within
// its caches, in Gop/s (a multiplication and an addition are two), where vpmaddubsw + vpaddw alone is 480, and vpdpbusd
// 1090: by lookups 1 row 645 and 4 rows 670 (ternary 320 and 370) with AVX2, 1050 and 1180 (570 and 660) with AVX-512. What
// lost: bits widened to masks, then and, vpmaddubsw by ones and vpaddw 160; the same with vpsadbw 120; ternary fields of
// two bits, shifted apart, with vpmaddubsw 265, and 300 for four rows; AVX-512 with masked loads and vpdpbusd 285, and 390
// for four rows; weights widened to bytes before, in the second cache then, with vpdpbusd 526. Tables of 16-bit sums by
// vpermw are as fast (1060 and 1280), but AVX2 has no such instruction, and one way serves all targets.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

inline constexpr Index bit_lookups = 64;      ///< of four inputs, whose digits fit 16 bits: 64 (31 + 32 31) < 2^16
inline constexpr Index bit_offset = 32 * 16;  ///< what a lookup by digits brings beyond its sum
inline constexpr int bit_rows_together = 4;   ///< rows that share what is read of the bits
inline constexpr Index bit_task_blocks = 4;   ///< blocks of a task of many rows
inline constexpr Index bit_few_blocks = 2;    ///< of few rows: the bits of two blocks are read once, in their order
inline constexpr Index bit_rows = 32;         ///< rows at a time, at most
inline constexpr Index bit_tables = 4 << 20;  ///< bytes of tables at a time, at least those of one row

/// Steps, of eight inputs each, whose lookups fit 16 bits: a stretch.
template <class Weights>
inline constexpr Index bit_stretch = bit_lookups / 2 / Weights::planes;

/// The tables of rows of codes, those of a stretch together, so that they do not push each other out of the cache:
/// [stretches][rows][bit_stretch][lookup_table] bytes.
template <class Weights>
struct BitTables {
  std::uint8_t* data;
  Index rows;

  static constexpr Index row_stride = bit_stretch<Weights> * lookup_table;
  static Index size(Index steps) { return (steps + bit_stretch<Weights> - 1) / bit_stretch<Weights> * row_stride; }
  std::uint8_t* at(Index row, Index step) const {
    return data + (step / bit_stretch<Weights> * rows + row) * row_stride + step % bit_stretch<Weights> * lookup_table;
  }
};

/// Makes the tables of one row; returns the sum of its codes.
template <class Weights>
std::int32_t make_row_tables(const std::int8_t* codes, Index count, const BitTables<Weights>& tables, Index row) {
  std::int32_t sum = 0;
  Index k = 0;
  for (; k + bit_byte <= count; k += bit_byte) sum += make_lookup_table(codes + k, tables.at(row, k / bit_byte));
  if (k < count) {
    std::int8_t rest[bit_byte] = {};
    std::memcpy(rest, codes + k, static_cast<std::size_t>(count - k));
    sum += make_lookup_table(rest, tables.at(row, k / bit_byte));
  }
  return sum;
}

/// Lookups of one or two registers of outputs, for some steps of eight inputs.
struct BitLookups {
  const std::uint8_t* bits[2];  ///< for each register, of the first step
  Index stride;                 ///< from step to step
  Index plane_stride;
  Index steps;
  const std::uint8_t* tables;  ///< of the first step
  Index tables_stride;         ///< from row to row
  std::uint32_t* sums;         ///< added to: [rows][registers][lanes]
  Index sums_stride;           ///< from row to row
};

/// As many steps as fit a byte, into sums of digits. `opaque` keeps the compiler from adding up in an order of its own, for which
/// there are not enough registers.
template <Index Planes, int Registers, int Rows, Index Steps, class B>
EIGENFORMER_INLINE void look_up(const BitLookups& work, Index step, B (&low)[Registers][Rows],
                                B (&high)[Registers][Rows]) {
#pragma GCC unroll 8
  for (Index i = 0; i < 2 * Steps; ++i) {
    const Index s = step + i / 2;
    B index[Registers][Planes];
#pragma GCC unroll 2
    for (int r = 0; r < Registers; ++r) {
#pragma GCC unroll 2
      for (Index plane = 0; plane < Planes; ++plane) {
        const B bits = B::load(work.bits[r] + s * work.stride + plane * work.plane_stride);
        index[r][plane] = opaque(i % 2 == 0 ? low_digits(bits) : high_digits(bits));
      }
    }
#pragma GCC unroll 4
    for (int m = 0; m < Rows; ++m) {
      const std::uint8_t* const table = work.tables + m * work.tables_stride + s * lookup_table + 32 * (i % 2);
      const B low_table = B::load_blocks(table);
      const B high_table = B::load_blocks(table + 16);
#pragma GCC unroll 2
      for (int r = 0; r < Registers; ++r) {
#pragma GCC unroll 2
        for (Index plane = 0; plane < Planes; ++plane) {
          const B low_digit = lookup(low_table, index[r][plane]);
          const B high_digit = lookup(high_table, index[r][plane]);
          const bool first = i == 0 && plane == 0;
          low[r][m] = opaque(first ? low_digit : low[r][m] + low_digit);
          high[r][m] = opaque(first ? high_digit : high[r][m] + high_digit);
        }
      }
    }
  }
}

template <int Registers, int Rows, class B, class Sums>
EIGENFORMER_INLINE void add_all_digits(const B (&low)[Registers][Rows], const B (&high)[Registers][Rows],
                                       Sums (&sums)[Registers][Rows]) {
#pragma GCC unroll 2
  for (int r = 0; r < Registers; ++r) {
#pragma GCC unroll 4
    for (int m = 0; m < Rows; ++m) add_digits(low[r][m], high[r][m], sums[r][m]);
  }
}

/// At most bit_lookups in all.
template <Index Planes, int Registers, int Rows, class B = Bytes, class Sums = HalfSums>
void add_lookups(const BitLookups& work) {
  constexpr Index together = 4 / Planes;
  Sums sums[Registers][Rows];
  B low[Registers][Rows];
  B high[Registers][Rows];
  Index step = 0;
  for (; step + together <= work.steps; step += together) {
    look_up<Planes, Registers, Rows, together>(work, step, low, high);
    add_all_digits(low, high, sums);
  }
  for (; step < work.steps; ++step) {
    look_up<Planes, Registers, Rows, 1>(work, step, low, high);
    add_all_digits(low, high, sums);
  }
#pragma GCC unroll 2
  for (int r = 0; r < Registers; ++r) {
#pragma GCC unroll 4
    for (int m = 0; m < Rows; ++m) add_to_words(sums[r][m], work.sums + m * work.sums_stride + r * B::lanes);
  }
}

/// The same without registers of bytes, by tables of 256.
template <Index Planes, int Registers>
EIGENFORMER_INLINE void add_lookups_in_memory(const BitLookups& work) {
  constexpr int lanes = Bytes::lanes;
  for (int r = 0; r < Registers; ++r) {
    std::int32_t sums[lanes] = {};
    for (Index step = 0; step < work.steps; ++step) {
      const auto* const table = reinterpret_cast<const std::int16_t*>(work.tables + step * lookup_table);
      for (Index plane = 0; plane < Planes; ++plane) {
        const std::uint8_t* const bits = work.bits[r] + step * work.stride + plane * work.plane_stride;
#pragma GCC unroll 8
        for (int i = 0; i < lanes; ++i) sums[i] += table[bits[i]];
      }
    }
    for (int i = 0; i < lanes; ++i) work.sums[r * lanes + i] += static_cast<std::uint32_t>(sums[i]);
  }
}

/// Sums of some blocks for rows whose tables are made.
template <class Weights>
struct BitTask {
  BitMatrix<Weights> weights;
  Index first_block;
  Index blocks;
  BitTables<Weights> tables;
  Index rows;
  std::uint32_t* sums;  ///< [rows][blocks][bit_block]

  Index sums_stride() const { return blocks * bit_block; }
};

/// Some rows, all blocks, some steps. Two registers share what is read of the tables, where their bits lie alike.
template <int Rows, class Weights>
void add_rows(const BitTask<Weights>& task, Index row, Index step, Index steps) {
  constexpr Index lanes = Bytes::lanes, planes = Weights::planes, in_block = bit_block / lanes;
  BitLookups work = {.bits = {},
                     .stride = 0,
                     .plane_stride = 0,
                     .steps = steps,
                     .tables = task.tables.at(row, step),
                     .tables_stride = task.tables.row_stride,
                     .sums = nullptr,
                     .sums_stride = task.sums_stride()};
  for (Index i = 0; i < task.blocks * in_block;) {
    int registers = 0;
    for (; registers < 2 && i + registers < task.blocks * in_block; ++registers) {
      const Index block = task.first_block + (i + registers) / in_block, output = (i + registers) % in_block * lanes;
      const Index room = task.weights.room(block);
      if (output >= room || (registers == 1 && room != work.plane_stride)) break;
      work.plane_stride = room;
      work.stride = room * planes;
      work.bits[registers] = task.weights.block(block) + step * work.stride + output;
    }
    work.sums = task.sums + row * task.sums_stride() + i * lanes;
    if constexpr (has_byte_lookup) {
      if (registers == 2) add_lookups<planes, 2, Rows>(work);
      if (registers == 1) add_lookups<planes, 1, Rows>(work);
    } else {
      if (registers == 2) add_lookups_in_memory<planes, 2>(work);
      if (registers == 1) add_lookups_in_memory<planes, 1>(work);
    }
    i += registers == 0 ? 1 : registers;
  }
}

/// All sums of a task: a stretch at a time, so that tables and weights are read from the cache.
template <class Weights>
void add_task(const BitTask<Weights>& task) {
  constexpr Index rows = has_byte_lookup ? bit_rows_together : 1;
  const Index steps = task.weights.bytes_of_inputs();
  std::memset(task.sums, 0, static_cast<std::size_t>(task.rows * task.sums_stride()) * sizeof *task.sums);
  for (Index step = 0; step < steps; step += bit_stretch<Weights>) {
    const Index count = (std::min)(bit_stretch<Weights>, steps - step);
    Index row = 0;
    for (; row + rows <= task.rows; row += rows) add_rows<rows>(task, row, step, count);
    for (; row < task.rows; ++row) add_rows<1>(task, row, step, count);
  }
}

/// Where the sums of one row go, `count` of them from output `first` on.
template <class T>
EIGENFORMER_INLINE void store_sums(const BitSums<T>& to, Index row, Index first, const std::int32_t* sums,
                                   Index count) {
  std::memcpy(to.sums + row * to.stride + first, sums, static_cast<std::size_t>(count) * sizeof *sums);
}

/// As many numbers as a register has doubles.
template <class T>
EIGENFORMER_INLINE void scale_sums(const std::int32_t* sums, double scale, const T* bias, T* y, bool accumulate) {
  using Doubles = decltype(Vec<double>::value);
  constexpr int lanes = Vec<double>::lanes;
  typedef std::int32_t Words __attribute__((vector_size(4 * lanes)));
  typedef T Numbers __attribute__((vector_size(sizeof(T) * lanes)));
  Words words;
  std::memcpy(&words, sums, sizeof words);
  Vec<double> result = {(Doubles) __builtin_convertvector(words, Doubles)};
  result = opaque(result * Vec<double>::broadcast(scale));  // not fused with what follows: the same bits everywhere
  Numbers numbers;
  if (bias) {
    std::memcpy(&numbers, bias, sizeof numbers);
    result = opaque(result + Vec<double>{__builtin_convertvector(numbers, Doubles)});
  }
  if (accumulate) {
    std::memcpy(&numbers, y, sizeof numbers);
    result = result + Vec<double>{__builtin_convertvector(numbers, Doubles)};
  }
  numbers = __builtin_convertvector(result.value, Numbers);
  std::memcpy(y, &numbers, sizeof numbers);
}

template <class T>
EIGENFORMER_INLINE void store_sums(const ScaledSums<T>& to, Index row, Index first, const std::int32_t* sums,
                                   Index count) {
  constexpr Index lanes = Vec<double>::lanes;
  const auto activation_scale = static_cast<double>(to.activation_scale[row * to.activation_stride]);
  const bool accumulate = to.destination == Destination::accumulate;
  T* const y = to.y + row * to.stride + first;
  const T* const bias = to.bias ? to.bias + first : nullptr;
  Index n = 0;
  while (n < count) {
    const Index group = (first + n) / to.outputs_per_scale;
    const double scale = activation_scale * static_cast<double>(to.weight_scale[group]);
    // Not (group + 1) outputs_per_scale - first, which may be beyond an Index.
    const Index end = (std::min)(count - n, to.outputs_per_scale - (first + n) % to.outputs_per_scale) + n;
    for (; n + lanes <= end; n += lanes) scale_sums(sums + n, scale, bias ? bias + n : nullptr, y + n, accumulate);
    if (n == end) continue;
    const auto bytes = static_cast<std::size_t>(end - n) * sizeof(T);
    std::int32_t rest[lanes] = {};
    T rest_of_bias[lanes] = {};
    T rest_of_y[lanes] = {};
    std::memcpy(rest, sums + n, static_cast<std::size_t>(end - n) * sizeof *rest);
    if (bias) std::memcpy(rest_of_bias, bias + n, bytes);
    if (accumulate) std::memcpy(rest_of_y, y + n, bytes);
    scale_sums(rest, scale, bias ? rest_of_bias : nullptr, rest_of_y, accumulate);
    std::memcpy(y + n, rest_of_y, bytes);
    n = end;
  }
}

/// The sums of products from sums of bits.
template <class Weights, class To>
void finish_task(const BitTask<Weights>& task, const std::int32_t* sums_of_codes, Index first_row, const To& to) {
  constexpr auto factor = static_cast<std::uint32_t>(Weights::factor);
  const Index lookups = has_byte_lookup ? 2 * Weights::planes * task.weights.bytes_of_inputs() : 0;
  const Index first = task.first_block * bit_block;
  const Index count = (std::min)(task.sums_stride(), task.weights.out_features - first);
  for (Index row = 0; row < task.rows; ++row) {
    std::uint32_t* const sums = task.sums + row * task.sums_stride();
    const std::uint32_t offset =
        factor * static_cast<std::uint32_t>(lookups * bit_offset) + static_cast<std::uint32_t>(sums_of_codes[row]);
    for (Index n = 0; n < task.sums_stride(); n += 4) {
#pragma GCC unroll 4
      for (Index i = n; i < n + 4; ++i) sums[i] = factor * sums[i] - offset;
    }
    store_sums(to, first_row + row, first, reinterpret_cast<const std::int32_t*>(sums), count);
  }
}

/// Makes the tables of some of the rows.
template <class Weights>
struct MakeTables {
  const BitProduct<Weights>& product;
  Index first_row;
  BitTables<Weights> tables;
  std::int32_t* sums_of_codes;
  void operator()(Index row) const {
    sums_of_codes[row] =
        make_row_tables(product.codes + (first_row + row) * product.stride, product.weights.in_features, tables, row);
  }
};

/// Runs one task of some of the rows.
template <class Weights, class To>
struct RunBitTask {
  BitTask<Weights> all;
  Index blocks_of_task;
  Index sums_of_worker;
  const std::int32_t* sums_of_codes;
  Index first_row;
  const To& to;
  void operator()(Index i, Index worker) const {
    BitTask<Weights> task = all;
    task.first_block = i * blocks_of_task;
    task.blocks = (std::min)(blocks_of_task, all.blocks - task.first_block);
    task.sums = all.sums + worker * sums_of_worker;
    add_task(task);
    finish_task(task, sums_of_codes, first_row, to);
  }
};

template <class T, class Weights, class To>
void bit_product(const BitProduct<Weights>& product, const To& to, Context& context) {
  const Index steps = product.weights.bytes_of_inputs();
  const Index tables_of_row = BitTables<Weights>::size(steps);
  const Index most_rows = (std::max)(Index(1), (std::min)(bit_rows, bit_tables / tables_of_row));
  const Index rows_at_a_time = (std::min)(most_rows, product.rows);
  const Index blocks = product.weights.blocks();
  const Index blocks_of_task = rows_at_a_time > bit_rows_together ? bit_task_blocks : bit_few_blocks;
  const Index sums_of_worker = rows_at_a_time * blocks_of_task * bit_block;
  ScratchScope scope(context.scratch());
  auto* const memory = scope.take<std::uint8_t>(rows_at_a_time * tables_of_row);
  auto* const sums = scope.take<std::uint32_t>(context.threads() * sums_of_worker);
  auto* const sums_of_codes = scope.take<std::int32_t>(rows_at_a_time);
  for (Index row = 0; row < product.rows; row += rows_at_a_time) {
    const Index rows = (std::min)(rows_at_a_time, product.rows - row);
    const BitTables<Weights> tables = {memory, rows};
    const MakeTables<Weights> make = {product, row, tables, sums_of_codes};
    context.parallel_for(rows, static_cast<double>(rows * tables_of_row), make);
    const RunBitTask<Weights, To> run = {
        {product.weights, 0, blocks, tables, rows, sums}, blocks_of_task, sums_of_worker, sums_of_codes, row, to};
    context.parallel_for_workers((blocks + blocks_of_task - 1) / blocks_of_task,
                                 static_cast<double>(rows * steps) * static_cast<double>(blocks * bit_block), run);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
