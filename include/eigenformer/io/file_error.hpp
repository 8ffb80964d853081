#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/error.hpp>
#include <eigenformer/io/fixed_text.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What is wrong with a file, as a value that needs no memory of its own. Rules 1 to 6 are about the length in front,
/// 7 to 16 about the header as JSON, 17 and 18 about its metadata, 19 to 28 about one tensor's entry, 29 to 33 about
/// how the tensors fill the file, 34 to 44 about reading, 45 to 48 about the index of several files;
/// tests/io/hand_made_files.hpp has at least three examples of each.
struct FileFault {
  int rule = 0;                             ///< the violated rule; 0 if the system refused
  std::uint64_t position = 0;               ///< byte of the file where it was noticed
  FixedText<80> tensor;                     ///< name of the tensor concerned, escaped; empty if none
  FixedText<240> reason;                    ///< what was expected, and what came
  std::string_view format = "safetensors";  ///< of the file; a literal
  FixedText<80> file = {};                  ///< which file of a folder, escaped; empty if there is only one
  int system_error = 0;                     ///< errno if the system refused
};

/// `safetensors: model.safetensors: rule 27 at byte 71, tensor "w": expected 24 bytes, got 20`
inline std::string describe(const FileFault& fault, const std::string& source) {
  std::string text = std::string(fault.format) + ": " + source + ": ";
  if (!fault.file.empty()) text.append(fault.file.view()).append(": ");
  if (fault.rule != 0) text += "rule " + std::to_string(fault.rule) + " at byte " + std::to_string(fault.position);
  if (fault.rule == 0 && fault.position != 0) text += "at byte " + std::to_string(fault.position);
  if (!fault.tensor.empty()) {
    text += fault.rule != 0 || fault.position != 0 ? ", tensor \"" : "tensor \"";
    text += fault.tensor.view();
    text += '"';
  }
  if (fault.rule != 0 || fault.position != 0 || !fault.tensor.empty()) text += ": ";
  text += fault.reason.view();
  return text;
}

/// A file that cannot be read or written, or that breaks a rule of its format.
class FileError : public Error {
 public:
  /// `source` is what the message calls the file.
  FileError(const FileFault& fault, const std::string& source) : Error(describe(fault, source)), fault_(fault) {}

  /// With a list that is too long for a fault.
  FileError(const FileFault& fault, const std::string& source, const std::string& details)
      : Error(describe(fault, source) + details), fault_(fault) {}

  int rule() const { return fault_.rule; }
  std::uint64_t position() const { return fault_.position; }
  std::string tensor() const { return std::string(fault_.tensor.view()); }
  const FileFault& fault() const { return fault_; }

 private:
  FileFault fault_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
