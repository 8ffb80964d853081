#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>
#include <eigenformer/io/safetensors.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace support {

/// One case of tests/golden: the tensors that upstream code computed, read by our own safetensors reader, and the
/// parameters that it was called with, from index.json. A missing case, tensor or parameter throws, so that no test
/// passes by comparing nothing. Float64 is rounded where float is asked for.
class Golden {
 public:
  explicit Golden(std::string_view name);

  /// All elements of a tensor, row-major.
  template <class T>
  std::vector<T> values(std::string_view tensor) const {
    return file_.values<T>(tensor, rounded);
  }
  template <class T, int Rank>
  eigenformer::Tensor<T, Rank> tensor(std::string_view name) const {
    return file_.tensor<T, Rank>(name, rounded);
  }
  /// A tensor of rank 2, as Linear takes its weight.
  template <class T>
  eigenformer::Matrix<T> matrix(std::string_view tensor) const {
    eigenformer::Matrix<T> result(shape(tensor)[0], shape(tensor)[1]);
    file_.read<T>(tensor, {result.rows(), result.cols()}, {result.data(), static_cast<std::size_t>(result.size())},
                  rounded);
    return result;
  }
  /// A tensor of rank 1, as the norms take their gain.
  template <class T>
  eigenformer::Vector<T> vector(std::string_view tensor) const {
    eigenformer::Vector<T> result(shape(tensor)[0]);
    file_.read<T>(tensor, {result.size()}, {result.data(), static_cast<std::size_t>(result.size())}, rounded);
    return result;
  }
  /// A tensor of rank 0, or of one element.
  template <class T>
  T scalar(std::string_view tensor) const {
    return values<T>(tensor).at(0);
  }

  eigenformer::Shape shape(std::string_view tensor) const;
  bool contains(std::string_view tensor) const { return file_.contains(tensor); }
  std::vector<std::string> tensors() const { return file_.names(); }

  /// A parameter of the upstream call as double, std::int64_t, bool, std::string, or std::vector of double or
  /// std::int64_t.
  template <class T>
  T parameter(std::string_view name) const;
  /// Whether it is given and not null.
  bool has_parameter(std::string_view name) const;

  static std::filesystem::path directory() { return EIGENFORMER_GOLDEN_DIR; }
  /// Every case that index.json lists.
  static std::vector<std::string> cases();

 private:
  static constexpr eigenformer::ReadOptions rounded = {.narrowing = eigenformer::Narrowing::rounded};

  std::string name_;
  eigenformer::SafetensorsFile file_;
};

}  // namespace support
