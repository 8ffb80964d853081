#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/prefix.hpp>

#include <type_traits>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// Calls found(part) for each part of that type among a block's members and theirs.
template <class Part, class Child, class Found>
void for_each_part(Child& child, const Found& found) {
  if constexpr (std::is_same_v<Child, Part>) {
    found(child);
  } else if constexpr (IsOptional<Child>::value) {
    if (child) for_each_part<Part>(*child, found);
  } else if constexpr (IsList<Child>::value) {
    for (auto& element : child) for_each_part<Part>(element, found);
  } else if constexpr (IsTuple<Child>::value) {
    std::apply([&](auto&... member) { (for_each_part<Part>(member, found), ...); }, child);
  } else if constexpr (!IsParameter<Child>::value && !std::is_same_v<Child, NamedPrefixes<typename Part::Scalar>>) {
    Child::members(child, [&](std::string_view, auto& member) { for_each_part<Part>(member, found); });
  }
}

}  // namespace detail

/// The prefix of every attention in a model, in the order of its parameters: for a stack, layer by layer. They are the
/// model's own, and stay where they are as long as its layers do. Those that have names are not among them.
template <class T, class Model>
std::vector<Prefix<T>*> prefixes_of(Model& model) {
  std::vector<Prefix<T>*> found;
  detail::for_each_part<Prefix<T>>(model, [&](Prefix<T>& prefix) { found.push_back(&prefix); });
  return found;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
