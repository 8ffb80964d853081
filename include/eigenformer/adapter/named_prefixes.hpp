#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/prefix.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

template <class B>
concept CarriesPrefixes = requires {
  requires B::carries_prefixes;
};

template <class Visit>
struct PrefixedVisitor {
  template <class B>
  static constexpr bool takes = CarriesPrefixes<B>;
  const Visit& visit;

  template <class Child>
  void operator()(const Name& name, Child& child) const {
    if constexpr (CarriesPrefixes<std::remove_const_t<Child>>) visit(name, child);
  }
};

}  // namespace detail

/// Calls visit(name, attention) for every Prefixed attention of a model.
template <class Model, class Visit>
void visit_prefixed(Model& model, const Visit& visit) {
  model.visit_parameters(detail::PrefixedVisitor<Visit>{visit});
}

/// Puts the prefixes that a model has, those of PrefixMlp or of a file, among the named ones of their attentions, where
/// sequences can choose them (Assigned). The attentions are left with prefixes of length 0.
///   throws ValueError if the model has no Prefixed attention, or one has a prefix of that name already, or for a name
///          that is empty or has dots; in each case the model is as it was
/// @code
/// ef::Prefixed<ef::MultiHeadAttention<float>> model({.dim = 64, .heads = 4}, ef::Random(42));
/// model.prefix = model.own_prefix(5, ef::Random(7));
/// ef::name_prefixes(model, "verses");
/// @endcode
template <class Model>
void name_prefixes(Model& model, const std::string& name) {
  bool any = false;
  visit_prefixed(model, [&](const Name&, const auto& attention) {
    attention.named.check_new(name);
    any = true;
  });
  require<ValueError>(any, "name_prefixes", "no attention of the model can have a prefix");
  visit_prefixed(model, [&](const Name&, auto& attention) {
    attention.named.add(name, std::move(attention.prefix));
    attention.prefix = attention.own_prefix(0, Random(0));
  });
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
