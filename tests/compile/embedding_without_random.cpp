// expect-error: no matching function for call to '.*Embedding<float>::Embedding\(|no matching constructor for initialization of 'ef::Embedding<float>'
// SPDX-License-Identifier: MIT
// What starts from random numbers is given a generator; there is no hidden one.
#include <eigenformer/linear/embedding.hpp>

namespace ef = eigenformer;

ef::Embedding<float> call() {
#if defined(POSITIVE)
  return ef::Embedding<float>({.vocabulary = 2, .dim = 3}, ef::Random(42));
#else
  return ef::Embedding<float>({.vocabulary = 2, .dim = 3});
#endif
}
