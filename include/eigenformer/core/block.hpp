#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/core/parameter.hpp>
#include <eigenformer/core/rows.hpp>

#include <optional>
#include <tuple>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// An owned tensor of the kind and shape of x, with another last dimension.
template <class T, int Rank>
Tensor<T, Rank> like(const ConstTensorView<T, Rank>& x, Index features) {
  auto dimensions = x.dimensions();
  dimensions[Rank - 1] = features;
  return Tensor<T, Rank>(dimensions);
}
template <class T, int Rank, int Options>
auto owned_like(const Eigen::Tensor<T, Rank, Options>& x, Index features) {
  return like<T, Rank>(x, features);
}
template <class T, int Rank, int Options>
auto owned_like(const Eigen::TensorMap<Eigen::Tensor<T, Rank, Options>>& x, Index features) {
  return like<T, Rank>(x, features);
}
template <class T, int Rank, int Options>
auto owned_like(const Eigen::TensorMap<const Eigen::Tensor<T, Rank, Options>>& x, Index features) {
  return like<T, Rank>(x, features);
}
template <class M>
auto owned_like(const Eigen::MatrixBase<M>& x, Index features) {
  if constexpr (M::IsVectorAtCompileTime) {
    return Vector<typename M::Scalar>(features);
  } else {
    return Matrix<typename M::Scalar>(x.rows(), features);
  }
}

template <class P>
struct IsParameter : std::false_type {};
template <class T, int Rank>
struct IsParameter<Parameter<T, Rank>> : std::true_type {};
template <class T, int Rank>
struct IsParameter<Statistic<T, Rank>> : std::true_type {};
template <class P>
struct IsStatistic : std::false_type {};
template <class T, int Rank>
struct IsStatistic<Statistic<T, Rank>> : std::true_type {};

template <class C>
struct IsList : std::false_type {};
template <class C, class A>
struct IsList<std::vector<C, A>> : std::true_type {};
template <class C>
struct IsOptional : std::false_type {};
template <class C>
struct IsOptional<std::optional<C>> : std::true_type {};
template <class C>
struct IsTuple : std::false_type {};
template <class... C>
struct IsTuple<std::tuple<C...>> : std::true_type {};

/// A visitor that is handed the blocks for which `takes<B>` holds whole, instead of what they hold.
template <class Visitor, class Child>
concept TakesWhole = requires {
  requires Visitor::template takes<Child>;
};

/// Walks one child of a block: a Parameter or Statistic, a block, or a vector, tuple or optional of them.
template <class Child, class Visitor>
void walk(const Name& name, Child& child, Visitor& visitor) {
  using Plain = std::remove_const_t<Child>;
  if constexpr (IsParameter<Plain>::value || TakesWhole<Visitor, Plain>) {
    visitor(name, child);
  } else if constexpr (IsOptional<Plain>::value) {
    if (child) walk(name, *child, visitor);
  } else if constexpr (IsList<Plain>::value) {
    for (std::size_t i = 0; i < child.size(); ++i) walk(Name(name, static_cast<Index>(i)), child[i], visitor);
  } else if constexpr (IsTuple<Plain>::value) {
    Index i = 0;
    std::apply([&](auto&... member) { (walk(Name(name, i++), member, visitor), ...); }, child);
  } else {
    Plain::members(child, [&](std::string_view part, auto& member) { walk(Name(name, part), member, visitor); });
  }
}

}  // namespace detail

/// Base of every block `B : public Block<B>`. From the block's own `forward(x, y, …, context, cache)` it makes the call
/// that returns an owned tensor, and from its static `members(self, visit)`, which calls `visit("name", self.member)`
/// for each parameter and each block inside, the visits by dotted name. `members` serves const and mutable blocks
/// alike:
///   static void members(auto& self, auto&& visit) { visit("norm", self.norm); visit("weight", self.weight); }
template <class Derived>
class Block {
 public:
  /// y = block(x, …), with the arguments of forward that stand between y and the context. A Context may come last;
  /// without one the call runs on the calling thread with scratch memory of its own.
  template <class X, class... Arguments>
  auto operator()(const X& x, Arguments&&... arguments) const {
    if constexpr ((std::is_same_v<std::remove_cvref_t<Arguments>, Context> || ...)) {
      return call(x, std::forward<Arguments>(arguments)...);
    } else {
      Context context;
      return call(x, std::forward<Arguments>(arguments)..., context);
    }
  }

  /// Calls visitor(name, parameter) for every parameter, in the order of `members`.
  template <class Visitor>
  void visit_parameters(Visitor&& visitor) {
    detail::walk(Name(), static_cast<Derived&>(*this), visitor);
  }
  template <class Visitor>
  void visit_parameters(Visitor&& visitor) const {
    detail::walk(Name(), static_cast<const Derived&>(*this), visitor);
  }

  /// An owned tensor for y: the shape of x, with the last dimension of `output_features()` where the block has that.
  template <class X>
  requires requires(const X& x) { detail::owned_like(x, Index()); }
  auto output_like(const X& x) const {
    const Derived& block = static_cast<const Derived&>(*this);
    if constexpr (requires { block.output_features(); }) {
      return detail::owned_like(x, block.output_features());
    } else {
      return detail::owned_like(x, ConstRowsView<typename X::Scalar>(x).features());
    }
  }

 private:
  // What does not fit is said here, once and in words, instead of at the end of a list of candidates.
  template <class X, class... Arguments>
  auto call(const X& x, Arguments&&... arguments) const {
    const Derived& block = static_cast<const Derived&>(*this);
    constexpr bool readable = requires { block.output_like(x); };
    static_assert(readable, "block(x, ...): x is not what this block reads, a row-major tensor or matrix (or tokens)");
    if constexpr (readable) {
      auto y = block.output_like(x);
      constexpr bool taken = requires { block.forward(x, y, std::forward<Arguments>(arguments)...); };
      static_assert(taken,
                    "block(x, ...): forward takes no such arguments; x is of the block's scalar type and rank, and "
                    "evaluated (a + b is not), and a mask is an object such as Causal{}");
      if constexpr (taken) block.forward(x, y, std::forward<Arguments>(arguments)...);
      return y;
    }
  }
};

/// Calls visitor(name, parameter) for the parameters that can be trained, frozen ones among them: all but statistics and
/// those stored in half precision, which have no gradient.
template <class Model, class Visitor>
void visit_learnable(Model& model, Visitor&& visitor) {
  model.visit_parameters([&]<class P>(const Name& name, P& parameter) {
    if constexpr (P::learnable) visitor(name, parameter);
  });
}

/// Number of values in a block's parameters.
template <class Model>
Index parameter_count(const Model& model) {
  Index count = 0;
  model.visit_parameters([&]<class P>(const Name&, const P& parameter) {
    if constexpr (!detail::IsStatistic<P>::value) count += parameter.size();
  });
  return count;
}

/// Sets the gradients that exist to zero.
template <class Model>
void zero_gradients(Model& model) {
  visit_learnable(model, [](const Name&, auto& parameter) { parameter.zero_gradient(); });
}

/// Whether backward adds to the gradients.
enum class Training { frozen, trained };
/// Makes every parameter trained or frozen, but for those that can only be frozen. A frozen one gives its gradient's
/// memory back.
template <class Model>
void set_training(Model& model, Training training) {
  visit_learnable(model, [&](const Name&, auto& parameter) {
    parameter.trainable = training == Training::trained;
    if (!parameter.trainable) parameter.gradient = {};
  });
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
