#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <stdexcept>

#if !defined(__cpp_exceptions)
#include <atomic>
#include <cstdio>
#include <exception>
#endif

namespace eigenformer::inline EIGENFORMER_ABI {

/// Base of everything the library throws. The message names the block, what it expected and what came:
/// `LayerNorm: expected last dimension 512, got x of shape [4, 10, 256]`.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A tensor whose shape does not fit the block or the other tensors of the call.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// An option outside its range, or options that contradict each other.
class OptionError : public Error {
 public:
  using Error::Error;
};

/// A value outside its range: a token that is not in the vocabulary, a length beyond the tensor.
class ValueError : public Error {
 public:
  using Error::Error;
};

#if defined(__cpp_exceptions)
/// Throws the failure; the one place of the library that does.
template <class Failure>
[[noreturn]] void raise(const Failure& failure) {
  throw failure;
}
#else
/// Who hears of a failure before the program ends, in translation units compiled with -fno-exceptions.
using FailureHandler = void (*)(const char* message);

/// The handler that is there at first.
inline void print_failure(const char* message) { std::fprintf(stderr, "%s\n", message); }

namespace detail {
inline std::atomic<FailureHandler> failure_handler{&print_failure};
}

/// Replaces the handler, which at first prints the message to stderr, and returns the one before.
inline FailureHandler set_failure_handler(FailureHandler handler) { return detail::failure_handler.exchange(handler); }

/// Where exceptions are off a failure has nowhere to go: the handler is told, and the program ends by std::terminate.
/// Who must go on calls the functions named `try_...`, which return what is wrong.
template <class Failure>
[[noreturn]] void raise(const Failure& failure) {
  if (const FailureHandler handler = detail::failure_handler.load()) handler(failure.what());
  std::terminate();
}
#endif

}  // namespace eigenformer::inline EIGENFORMER_ABI
