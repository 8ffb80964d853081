#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/parameter.hpp>
#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/io/safetensors_writer.hpp>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

struct LoadOptions {
  ReadOptions read = {};
  std::string prefix =
      {};  ///< what stands before the model's names in the file; other tensors of the file are left alone
};

/// Writes every parameter of a block or model under its dotted name, bit by bit.
template <class Model>
void save_safetensors(const std::filesystem::path& path, const Model& model,
                      const std::map<std::string, std::string>& metadata = {}) {
  SafetensorsWriter writer;
  writer.metadata = metadata;
  writer.add_parameters(model);
  writer.write(path);
}

namespace detail {

/// What a checkpoint and a model disagree about, one line each.
class CheckpointComparison {
 public:
  /// `names` are the model's, in the order of its visits.
  CheckpointComparison(const SafetensorsFile& file, const std::vector<std::string>& names, const std::string& prefix) {
    std::vector<std::string> sorted = names;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      if (sorted[i] == sorted[i - 1]) line("twice in the model", sorted[i]);
    }
    for (std::size_t i = 0; i < file.size(); ++i) {
      const SafetensorsEntry entry = file[i];
      const bool ours = entry.name.starts_with(prefix);
      if (ours && !std::binary_search(sorted.begin(), sorted.end(), entry.name)) {
        line("not in the model", entry.name) += " of shape " + entry.shape.to_string();
      }
    }
  }

  template <class T>
  void compare(const SafetensorsFile& file, const std::string& name, const Shape& expected) {
    const std::optional<SafetensorsEntry> entry = file.find(name);
    if (!entry) {
      line("missing", name) += " of shape " + expected.to_string();
    } else if (entry->shape != expected) {
      line("wrong shape", name) += ": expected " + expected.to_string() + ", got " + entry->shape.to_string();
    } else if (!with_stored_type(entry->dtype, false, []<class Stored>() { return convertible<Stored, T>; })) {
      line("wrong type", name) += ": expected " + std::string(eigenformer::name(dtype_of<T>)) + ", got " +
                                  std::string(eigenformer::name(entry->dtype));
    }
  }

  const std::string& lines() const { return lines_; }

 private:
  std::string& line(std::string_view what, std::string_view name) {
    FixedText<80> escaped;
    escaped.append_escaped(name);
    return lines_.append("\n  ").append(what).append(": ").append(escaped.view());
  }

  std::string lines_;
};

}  // namespace detail

/// Fills every parameter of a block or model from the tensor of its name. All or nothing: missing, unknown, mis-shaped
/// and mis-typed tensors throw one FileError that lists them all, with both shapes, and so does a value that does not
/// fit; in each case before the first parameter is changed.
template <class Model>
void load_parameters(const SafetensorsFile& file, Model& model, const LoadOptions& options = {}) {
  std::vector<std::string> names;
  model.visit_parameters([&](const auto& name, auto&) { names.push_back(options.prefix + name.str()); });

  detail::CheckpointComparison comparison(file, names, options.prefix);
  auto name = names.begin();
  model.visit_parameters([&]<class P>(const auto&, P& parameter) {
    comparison.template compare<typename P::Scalar>(file, *name++, parameter.shape());
  });
  if (!comparison.lines().empty()) {
    throw FileError({.rule = 42, .position = 0, .tensor = {}, .reason = {"the tensors are not those of the model"}},
                    file.source(), comparison.lines());
  }
  name = names.begin();
  model.visit_parameters([&]<class P>(const auto&, P& parameter) {
    value_or_throw(file.try_check<typename P::Scalar>(*name++, parameter.shape(), options.read), file.source());
  });
  name = names.begin();
  model.visit_parameters([&]<class P>(const auto&, P& parameter) {
    file.read<typename P::Scalar>(*name++, parameter.shape(), parameter.values(), options.read);
  });
}

template <class Model>
void load_safetensors(const std::filesystem::path& path, Model& model, const LoadOptions& options = {}) {
  load_parameters(SafetensorsFile(path), model, options);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
