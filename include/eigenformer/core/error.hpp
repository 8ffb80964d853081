#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <stdexcept>

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

}  // namespace eigenformer::inline EIGENFORMER_ABI
