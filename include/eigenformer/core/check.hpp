#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/error.hpp>
#include <eigenformer/core/shape.hpp>

#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// What a message prints, without its type: how a type is printed is looked up once for the type, not in every check
/// that names one, which takes much of the time that a header takes to compile.
class MessagePart {
 public:
  template <class T>
  MessagePart(const T& value) : value_(&value), print_(&print<T>) {}
  MessagePart(const char* text) : value_(text), print_(&print_text) {}

  friend std::ostream& operator<<(std::ostream& out, const MessagePart& part) {
    part.print_(out, part.value_);
    return out;
  }

 private:
  template <class T>
  static void print(std::ostream& out, const void* value) {
    out << *static_cast<const T*>(value);
  }
  static void print_text(std::ostream& out, const void* text) { out << static_cast<const char*>(text); }

  const void* value_;
  void (*print_)(std::ostream&, const void*);
};

inline std::string message(std::string_view block, std::initializer_list<MessagePart> parts) {
  std::ostringstream text;
  text << block << ": ";
  for (const MessagePart& part : parts) text << part;
  return text.str();
}

}  // namespace detail

/// Raises `Failure` (core/error.hpp) with the message `block: part part …` unless the condition holds. The message is put together only
/// then, so that a check which passes costs one comparison.
///   require<ShapeError>(x.cols() == dim, "LayerNorm", "expected last dimension ", dim, ", got x of shape ",
///   x.shape());
template <class Failure = ShapeError, class... Parts>
void require(bool condition, std::string_view block, const Parts&... parts) {
  if (condition) [[likely]] {
    return;
  }
  raise(Failure(detail::message(block, {parts...})));
}

/// Throws ShapeError unless the last dimension of `shape` is `features`.
inline void require_features(Index features, const Shape& shape, std::string_view block, std::string_view what = "x") {
  require(shape.rank() > 0 && shape[-1] == features, block, "expected last dimension ", features, ", got ", what,
          " of shape ", shape);
}

/// Throws ShapeError unless the two shapes are equal.
inline void require_shape(const Shape& expected, const Shape& shape, std::string_view block, std::string_view what) {
  require(expected == shape, block, "expected ", what, " of shape ", expected, ", got ", shape);
}

/// Throws OptionError unless the option is at least 1.
inline void require_positive(Index value, std::string_view block, std::string_view option) {
  require<OptionError>(value >= 1, block, "expected ", option, " of at least 1, got ", value);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
