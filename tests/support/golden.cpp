// SPDX-License-Identifier: MIT

#include "support/golden.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace support {
namespace {

/// Parsed once per program.
const nlohmann::json& index() {
  static const nlohmann::json content = [] {
    const std::filesystem::path path = Golden::directory() / "index.json";
    std::ifstream in(path);
    if (!in) throw std::runtime_error("Golden: cannot open " + path.string());
    return nlohmann::json::parse(in);
  }();
  return content;
}

const nlohmann::json& parameters_of(const std::string& name) { return index().at("cases").at(name).at("params"); }

std::filesystem::path path_of(std::string_view name) {
  return Golden::directory() / (std::string(name) + ".safetensors");
}

}  // namespace

Golden::Golden(std::string_view name) : name_(name), file_(path_of(name)) {}

eigenformer::Shape Golden::shape(std::string_view tensor) const {
  const auto entry = file_.find(tensor);
  if (!entry) throw std::out_of_range("Golden: " + name_ + " has no tensor " + std::string(tensor));
  return entry->shape;
}

template <class T>
T Golden::parameter(std::string_view name) const {
  return parameters_of(name_).at(std::string(name)).get<T>();
}
template double Golden::parameter(std::string_view) const;
template std::int64_t Golden::parameter(std::string_view) const;
template bool Golden::parameter(std::string_view) const;
template std::string Golden::parameter(std::string_view) const;
template std::vector<double> Golden::parameter(std::string_view) const;
template std::vector<std::int64_t> Golden::parameter(std::string_view) const;

bool Golden::has_parameter(std::string_view name) const {
  const nlohmann::json& all = parameters_of(name_);
  const auto found = all.find(std::string(name));
  return found != all.end() && !found->is_null();
}

std::vector<std::string> Golden::cases() {
  std::vector<std::string> names;
  for (const auto& item : index().at("cases").items()) names.push_back(item.key());
  return names;
}

}  // namespace support
