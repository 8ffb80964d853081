#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_model.hpp>
#include <eigenformer/adapter/named_prefixes.hpp>
#include <eigenformer/core/sequence_labels.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// An adapter for each sequence of a batch, or none: a mixed batch. While this lives, every Lora that is called with the
/// context applies to each sequence the adapter of that name alone, idle or not, with its weight and its own rank; every
/// Prefixed attention that has named prefixes puts the one of that name before its keys and values; "" is the base.
/// (Hu et al. 2021, section 4.2, name it as a limitation of merged adapters that sequences of different tasks do not share
/// a batch.) All sequences go through the base's weight together, and the rows of those that share an adapter through its
/// two matrices together. Sequences without an adapter get the base's bits. In training, each low-rank adapter has
/// gradients from its own sequences; named prefixes are for inference.
///
/// Sequences share the rows of a batch equally, as in [batch, length, features]; where they lie one after the other with
/// lengths of their own, as in Packed and PagedSequences, say the lengths, in which case layers may also see one row of
/// each, such as the last. A layer that has nothing by that name leaves the sequence to its base.
///   throws OptionError if there are no sequences, or not a positive length for each; ValueError for a name that no layer
///          has, or a layer with merged adapters
/// @code
/// ef::Lora<ef::Linear<float>> model({.in_features = 7, .out_features = 5}, ef::Random(42));
/// model.add("summaries", {.rank = 2}, ef::Random(43));
/// model.add("verses", {.rank = 4}, ef::Random(44));
/// ef::Context context;
/// ef::Tensor<float, 3> x(3, 11, 7);  // three sequences
/// x.setZero();
/// ef::Tensor<float, 3> y(3, 11, 5);
/// const ef::Assigned assigned(context, model, {"verses", "", "summaries"});
/// model.forward(x, y, context);
/// @endcode
class Assigned {
 public:
  /// A name for each sequence, of what the model has.
  template <class Model>
  Assigned(Context& context, const Model& model, std::vector<std::string> names, std::vector<Index> lengths = {})
      : context_(context), before_(context.labels()), labels_({std::move(names), std::move(lengths)}) {
    check(model);
    context_.set_labels(&labels_);
  }
  ~Assigned() { context_.set_labels(before_); }
  Assigned(const Assigned&) = delete;
  Assigned& operator=(const Assigned&) = delete;

 private:
  template <class Model>
  void check(const Model& model) const {
    const std::vector<std::string>& names = labels_.labels;
    const std::vector<Index>& lengths = labels_.lengths;
    require<OptionError>(!names.empty(), "Assigned", "expected a name for at least one sequence");
    require<OptionError>(lengths.empty() || lengths.size() == names.size(), "Assigned", "expected the lengths of ",
                         names.size(), " sequences, got ", lengths.size());
    for (const Index length : lengths) require_positive(length, "Assigned", "length");
    std::vector<char> found(names.size());
    const auto look = [&](const auto& has) {
      for (std::size_t i = 0; i < names.size(); ++i) found[i] |= char(names[i].empty() || has(names[i]));
    };
    look([](const std::string&) { return false; });
    lora::visit_layers(model, [&](const Name& layer_name, const auto& layer) {
      require<ValueError>(!layer.merged(), "Assigned", layer_name, " has merged adapters");
      look([&](const std::string& name) { return layer.has_adapter(name); });
    });
    visit_prefixed(model, [&](const Name&, const auto& attention) {
      look([&](const std::string& name) { return attention.named.find(name) != nullptr; });
    });
    for (std::size_t i = 0; i < names.size(); ++i) {
      require<ValueError>(found[i] != 0, "Assigned", "no layer of the model has an adapter \"", names[i], '"');
    }
  }

  Context& context_;
  const SequenceLabels* before_;
  SequenceLabels labels_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
