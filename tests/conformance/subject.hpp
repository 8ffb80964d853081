#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "support/inputs.hpp"

// The conformance tests see every block through this interface, so that each property is written once and each block is
// compiled once. Blocks come from table.hpp.
namespace conformance {

namespace ef = eigenformer;

using eigenformer::Index;

struct Extent {
  Index batch = 1;
  Index length = 1;
  Index tokens() const { return batch * length; }
};

/// A parameter as the visits of a block show it.
template <class T>
struct Visited {
  std::string name;
  std::span<T> values;
  std::span<T> gradients;
  bool* trainable = nullptr;
};

/// A parameter in half precision, bit by bit: it has no gradient.
struct StoredHalf {
  std::string name;
  std::span<std::uint16_t> bits;
};

/// A block with its cache, for numbers of type T in plain memory: x [batch, length, in], y [batch, length, out].
template <class T>
class Subject {
 public:
  Subject() = default;
  Subject(const Subject&) = default;
  Subject& operator=(const Subject&) = delete;
  virtual ~Subject() = default;

  virtual Index in_features() const = 0;
  virtual Index out_features() const = 0;
  /// Random numbers the block can read. Tokens are whole numbers.
  virtual std::vector<T> input(Extent extent, support::Generator& random) const = 0;
  /// Whether x is numbers, which have a gradient.
  virtual bool differentiable() const = 0;
  /// Whether gradients are derivatives: those that go straight through a quantiser are not.
  virtual bool derives() const = 0;
  /// Whether rows may lie apart.
  virtual bool tokenwise() const = 0;

  /// A copy of the block, with a cache of its own.
  virtual std::unique_ptr<Subject> copy() const = 0;
  /// The block moved out of this subject.
  virtual std::unique_ptr<Subject> move() = 0;
  virtual void assign(const Subject& other) = 0;
  /// What has become of the block in a std::vector that grew, shrank and was copied, and in a std::optional.
  virtual std::vector<std::unique_ptr<Subject>> out_of_containers() const = 0;

  virtual void forward(const T* x, T* y, Extent extent, eigenformer::Context& context) const = 0;
  virtual void forward_with_cache(const T* x, T* y, Extent extent, eigenformer::Context& context) = 0;
  /// Of the last forward_with_cache.
  virtual void backward(const T* dy, T* dx, Extent extent, eigenformer::Context& context) = 0;
  virtual std::vector<T> call_operator(const T* x, Extent extent) const = 0;
  virtual std::vector<T> call_operator(const T* x, Extent extent, eigenformer::Context& context) const = 0;
  /// Token-wise blocks with rows `stride` elements apart, and the same of dy and dx.
  virtual void forward_strided(const T* x, Index x_stride, T* y, Index y_stride, Index rows,
                               eigenformer::Context& context) = 0;
  virtual void backward_strided(const T* dy, Index dy_stride, T* dx, Index dx_stride, Index rows,
                                eigenformer::Context& context) = 0;
  /// An x with one feature too many, a y and a dy of other sizes; each throws.
  virtual void forward_wide_x(T* y, eigenformer::Context& context) = 0;
  virtual void forward_wide_y(T* y, eigenformer::Context& context) = 0;
  virtual void backward_wide_dy(T* dx, Extent extent, eigenformer::Context& context) = 0;
  virtual void backward_wide_dx(T* dx, Extent extent, eigenformer::Context& context) = 0;

  /// Those that can be trained.
  virtual std::vector<Visited<T>> parameters() = 0;
  virtual std::vector<Visited<const T>> constant_parameters() const = 0;
  /// Those in half precision.
  virtual std::vector<StoredHalf> stored_halves() = 0;
  virtual void save(const std::string& path) const = 0;
  virtual void load(const std::string& path) = 0;
};

template <class T>
struct Row {
  std::string name;
  std::function<std::unique_ptr<Subject<T>>()> make;
};
/// How the name of a test case shows a row.
template <class T>
void PrintTo(const Row<T>& row, std::ostream* out) {
  *out << row.name;
}

/// All rows of the table, for float and for double in the same order.
template <class T>
const std::vector<Row<T>>& rows();
template <>
const std::vector<Row<float>>& rows<float>();
template <>
const std::vector<Row<double>>& rows<double>();

}  // namespace conformance
