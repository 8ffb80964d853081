// SPDX-License-Identifier: MIT
// Opening a file of many tensors, which must stay linear in the header, and reading tensors of four types as float.

#include <eigenformer/io/safetensors.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include <cstring>

namespace {

using namespace bench;

/// A file in memory: the length of the header, the header, `data` bytes of zeros.
std::vector<std::byte> file_of(const std::string& header, std::size_t data) {
  std::vector<std::byte> bytes(8 + header.size() + data);
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

/// Tensors of 16 bytes each, named as the layers of a model are.
std::vector<std::byte> file_of_tensors(Index count) {
  std::string header = "{";
  for (Index i = 0; i < count; ++i) {
    header += "\"model.layers." + std::to_string(i) +
              ".attention.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[" + std::to_string(16 * i) +
              "," + std::to_string(16 * i + 16) + "]},";
  }
  header.back() = '}';
  return file_of(header, static_cast<std::size_t>(16 * count));
}

class Open {
 public:
  explicit Open(Index count) : count_(count), bytes_(file_of_tensors(count)) {}
  void run(ef::Context&) {
    const auto opened = ef::SafetensorsFile::try_open(std::span<const std::byte>(bytes_));
    tensors_ = opened ? static_cast<Index>(opened->size()) : -1;
  }
  Error error() const { return {static_cast<double>(tensors_ - count_), tensors_ == count_}; }

 private:
  Index count_;
  std::vector<std::byte> bytes_;
  Index tensors_ = 0;
};

template <class Stored>
class Read {
 public:
  explicit Read(Index count) : bytes_(file(count)), values_(count) {
    const std::size_t start = bytes_.size() - static_cast<std::size_t>(count) * sizeof(Stored);
    stored_ = reinterpret_cast<Stored*>(bytes_.data() + start);
    const ef::Matrix<float> numbers = random_matrix(1, count, 1);
    for (Index i = 0; i < count; ++i) stored_[i] = static_cast<Stored>(numbers(0, i));
    opened_.emplace(std::span<const std::byte>(bytes_));
  }
  void run(ef::Context&) { opened_->template read<float>("a", {values_.size()}, values()); }
  void run_by_eigen() {
    values_ =
        Eigen::Map<const Eigen::Matrix<Stored, Eigen::Dynamic, 1>>(stored_, values_.size()).template cast<float>();
  }
  Error error() const {
    Eigen::VectorXd expected(values_.size());
    for (Index i = 0; i < values_.size(); ++i) expected[i] = static_cast<double>(static_cast<float>(stored_[i]));
    return compare(values_, expected, 0.0);
  }

 private:
  std::span<float> values() { return {values_.data(), static_cast<std::size_t>(values_.size())}; }
  static std::vector<std::byte> file(Index count) {
    std::string header = "{\"a\":{\"dtype\":\"" + std::string(ef::name(ef::dtype_of<Stored>)) + "\",\"shape\":[" +
                         std::to_string(count) + "],\"data_offsets\":[0," +
                         std::to_string(count * static_cast<Index>(sizeof(Stored))) + "]}}";
    while (header.size() % 8 != 0) header += ' ';  // so that what Eigen maps is aligned
    return file_of(header, static_cast<std::size_t>(count) * sizeof(Stored));
  }

  std::vector<std::byte> bytes_;
  Eigen::VectorXf values_;
  Stored* stored_ = nullptr;
  std::optional<ef::SafetensorsFile> opened_;
};

template <class Stored>
void plan_read(const std::string& type) {
  const Index count = grid::elements_read;
  Entry<Read<Stored>>({.name = "safetensors: read as float",
                       .shape = std::to_string(count) + " numbers",
                       .cost = {0, bytes<Stored>(count), bytes(count)},
                       .type = type},
                      count)
      .ours(&Read<Stored>::run)
      .eigen(&Read<Stored>::run_by_eigen);
}

const bool planned = [] {
  const Index count = grid::tensors_opened;
  Entry<Open>({.name = "safetensors: open",
               .shape = std::to_string(count) + " tensors",
               .cost = {0, static_cast<double>(file_of_tensors(count).size()), 0}},
              count)
      .ours(&Open::run);
  plan_read<float>("float");
  plan_read<ef::Bfloat16>("bfloat16");
  plan_read<ef::Float16>("float16");
  plan_read<double>("double");
  return true;
}();

}  // namespace
