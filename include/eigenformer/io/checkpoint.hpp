#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/parameter.hpp>
#include <eigenformer/io/parameter_names.hpp>
#include <eigenformer/io/safetensors_writer.hpp>
#include <eigenformer/io/tensor_source.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

struct LoadOptions {
  ReadOptions read = {};
  std::string prefix =
      {};  ///< what stands before the model's names in the file; other tensors of the file are left alone
  std::span<const NamePair> names = {};           ///< what the file calls the parameters, if not as the model does
  std::span<const std::string_view> unused = {};  ///< names, with `*` for a number, that the file may hold in addition
};

/// save_safetensors with the failure as a value.
template <class Model>
Result<void> try_save_safetensors(const FilePath& path, const Model& model,
                                  const std::map<std::string, std::string>& metadata = {},
                                  const ParameterNames& names = {}) {
  SafetensorsWriter writer;
  writer.metadata = metadata;
  if (Result<void> added = writer.try_add_parameters(model, names); !added) return added;
  return writer.try_write(path);
}

/// Writes every parameter of a block or model under its dotted name, or the name that `names` gives it, bit by bit.
/// Throws FileError also for a parameter that the table does not name.
template <class Model>
void save_safetensors(const FilePath& path, const Model& model, const std::map<std::string, std::string>& metadata = {},
                      const ParameterNames& names = {}) {
  value_or_throw(try_save_safetensors(path, model, metadata, names), path.string());
}

namespace detail {

inline FileFault other_tensors() {
  return {.rule = 42, .position = 0, .tensor = {}, .reason = {"the tensors are not those of the model"}};
}

/// What a checkpoint and a model disagree about, one line each. The model is a list of names and shapes, so that it can
/// be judged before there is memory for it.
template <class = void>
class BasicCheckpointComparison {
 public:
  /// A parameter that the file's names do not know.
  void unnamed(std::string_view ours) { line("no name in the table for", ours); }

  /// A parameter by its name in the file.
  template <class T>
  void expect(const TensorSource auto& file, const std::string& name, const Shape& expected) {
    names_.push_back(name);
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

  /// All that was found, and what the file holds beside the parameters; empty if both agree.
  std::string disagreement(const TensorSource auto& file, const LoadOptions& options) {
    std::string lines;
    std::swap(lines, lines_);
    std::sort(names_.begin(), names_.end());
    for (std::size_t i = 1; i < names_.size(); ++i) {
      if (names_[i] == names_[i - 1]) line("twice in the model", names_[i]);
    }
    for (std::size_t i = 0; i < file.size(); ++i) {
      const SafetensorsEntry entry = file[i];
      if (!entry.name.starts_with(options.prefix)) continue;
      if (std::binary_search(names_.begin(), names_.end(), entry.name) || is_unused(entry.name, options)) continue;
      line("not in the model", entry.name) += " of shape " + entry.shape.to_string();
    }
    return lines_ + lines;
  }
  /// Raises FileError with all that was found.
  void finish(const TensorSource auto& file, const LoadOptions& options) {
    const std::string lines = disagreement(file, options);
    if (!lines.empty()) raise(FileError(other_tensors(), file.source(), lines));
  }

 private:
  static bool is_unused(std::string_view name, const LoadOptions& options) {
    name.remove_prefix(options.prefix.size());
    return std::any_of(options.unused.begin(), options.unused.end(),
                       [&](std::string_view pattern) { return number_in(name, pattern).has_value(); });
  }
  std::string& line(std::string_view what, std::string_view name) {
    FixedText<80> escaped;
    escaped.append_escaped(name);
    return lines_.append("\n  ").append(what).append(": ").append(escaped.view());
  }

  std::vector<std::string> names_;
  std::string lines_;
};

/// The one BasicCheckpointComparison, which is a template so that only who uses it compiles it.
using CheckpointComparison = BasicCheckpointComparison<>;

/// The type that a parameter's values are stored in.
template <class P>
using stored_element = std::remove_cvref_t<decltype(std::declval<P&>().values()[0])>;

/// The file's names of a model's parameters, in the order of its visits, and what the two disagree about.
template <class Model>
std::vector<std::string> names_in_file(const TensorSource auto& file, const Model& model, const LoadOptions& options,
                                       std::string& disagreement) {
  const ParameterNames naming = {options.prefix, options.names};
  std::vector<std::string> names;
  CheckpointComparison comparison;
  model.visit_parameters([&]<class P>(const auto& name, const P& parameter) {
    const std::string ours = name.str();
    const std::optional<std::string> theirs = naming.in_file(ours);
    if (!theirs) return comparison.unnamed(ours);
    comparison.template expect<stored_element<P>>(file, *theirs, parameter.shape());
    names.push_back(*theirs);
  });
  disagreement = comparison.disagreement(file, options);
  return names;
}

/// The same, with any disagreement raised.
template <class Model>
std::vector<std::string> names_in_file(const TensorSource auto& file, const Model& model, const LoadOptions& options) {
  std::string disagreement;
  std::vector<std::string> names = names_in_file(file, model, options, disagreement);
  if (!disagreement.empty()) raise(FileError(other_tensors(), file.source(), disagreement));
  return names;
}

/// Checks all values before the first parameter is changed.
template <class Model>
Result<void> read_parameters(const TensorSource auto& file, Model& model, const std::vector<std::string>& names,
                             const ReadOptions& options) {
  Result<void> done;
  auto name = names.begin();
  model.visit_parameters([&]<class P>(const auto&, P& parameter) {
    if (done) done = file.template try_check<stored_element<P>>(*name++, parameter.shape(), options);
  });
  name = names.begin();
  model.visit_parameters([&]<class P>(const auto&, P& parameter) {
    if (done) done = file.template try_read<stored_element<P>>(*name++, parameter.shape(), parameter.values(), options);
  });
  return done;
}

}  // namespace detail

/// Fills every parameter of a block or model from the tensor of its name, or of the name that a table gives it. All or
/// nothing: missing, unknown, mis-shaped and mis-typed tensors throw one FileError that lists them all, with both
/// shapes, and so does a value that does not fit; in each case before the first parameter is changed.
template <TensorSource Source, class Model>
void load_parameters(const Source& file, Model& model, const LoadOptions& options = {}) {
  static_assert(!std::is_const_v<Model>, "load_parameters: a const model cannot be filled");
  const std::vector<std::string> names = detail::names_in_file(file, model, options);
  value_or_throw(detail::read_parameters(file, model, names, options.read), file.source());
}
/// load_parameters with the failure as a value, which has room for the first lines of the list only.
template <TensorSource Source, class Model>
Result<void> try_load_parameters(const Source& file, Model& model, const LoadOptions& options = {}) {
  std::string disagreement;
  const std::vector<std::string> names = detail::names_in_file(file, model, options, disagreement);
  if (disagreement.empty()) return detail::read_parameters(file, model, names, options.read);
  FileFault fault = detail::other_tensors();
  fault.reason.append(disagreement);
  return fault;
}

/// load_parameters from a safetensors file; also throws FileError for one that breaks a rule.
template <class Model>
void load_safetensors(const FilePath& path, Model& model, const LoadOptions& options = {}) {
  load_parameters(SafetensorsFile(path), model, options);
}
/// load_safetensors with the failure as a value.
template <class Model>
Result<void> try_load_safetensors(const FilePath& path, Model& model, const LoadOptions& options = {}) {
  const Result<SafetensorsFile> file = SafetensorsFile::try_open(path);
  if (!file) return file.fault();
  return try_load_parameters(*file, model, options);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
