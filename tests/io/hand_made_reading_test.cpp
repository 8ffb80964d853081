// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/io/safetensors_folder.hpp>

#include "io/hand_made_files.hpp"
#include "support/allocation.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>

// Rules 34 to 44, which are about reading, and 47, which is about links: each case opens or reads something and returns
// the rule that refused it.
namespace {

using namespace eigenformer;
using hand_made::accepted;
using hand_made::file_bytes;
using hand_made::one;

constexpr int system_refused = -1;
constexpr int wrong_value = -2;

struct Case {
  int rule;
  const char* name;
  int verdict;
  std::function<int()> run;
};

template <class T>
int rule_of(const Result<T>& result) {
  if (result) return accepted;
  return result.fault().system_error != 0 ? system_refused : result.fault().rule;
}
std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

/// A file of one tensor `a` that holds the values, behind `padding` spaces of header.
template <class T>
std::string holding(std::vector<T> values, const std::string& dtype, std::size_t padding = 0) {
  const std::size_t size = values.size() * sizeof(T);
  std::string bytes = file_bytes(
      "{" + support::tensor_json("a", dtype, std::to_string(values.size()), 0, size) + "}" + std::string(padding, ' '),
      size);
  std::memcpy(bytes.data() + bytes.size() - size, static_cast<const void*>(values.data()), size);
  return bytes;
}
template <class T>
int reading(const std::string& file, const Shape& shape, const ReadOptions& options = {}) {
  std::unique_ptr<T[]> room(new T[static_cast<std::size_t>(shape.size())]());
  const Result<SafetensorsFile> opened = SafetensorsFile::try_open(bytes_of(file));
  if (!opened) return rule_of(opened);
  return rule_of(opened->try_read<T>("a", shape, {room.get(), static_cast<std::size_t>(shape.size())}, options));
}
template <class T>
int value_is(const std::string& file, T expected) {
  T got{};
  const SafetensorsFile opened(bytes_of(file));
  if (!opened.try_read<T>("a", {1}, {&got, 1})) return wrong_value;
  return got == expected ? accepted : wrong_value;
}

/// A file on disk, opened, then changed, then read.
int after(const std::function<void(const std::filesystem::path&)>& change) {
  const support::TemporaryDirectory directory;
  const std::filesystem::path path = directory / "f";
  std::ofstream(path, std::ios::binary) << holding<std::uint8_t>(std::vector<std::uint8_t>(5000, 7), "U8");
  const SafetensorsFile file{path};
  change(path);
  std::vector<std::uint8_t> room(5000);
  const int rule = rule_of(file.try_read<std::uint8_t>("a", {5000}, room));
  return rule == accepted && room.back() != 7 ? wrong_value : rule;
}
int opening(const std::function<std::filesystem::path(const support::TemporaryDirectory&)>& make) {
  const support::TemporaryDirectory directory;
  std::ofstream(directory / "f", std::ios::binary) << file_bytes("{}");
  return rule_of(SafetensorsFile::try_open(make(directory)));
}
/// `folder/model.safetensors` is a link to the target, and `folder` lies beside `secret`.
int linking(const std::filesystem::path& target, SymbolicLinks links = SymbolicLinks::inside) {
  const support::TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "folder");
  for (const char* name : {"secret", "folder/other"})
    std::ofstream(directory / name, std::ios::binary) << file_bytes("{}");
  const std::filesystem::path whole = target.is_absolute() ? directory / target.relative_path().string() : target;
  std::filesystem::create_symlink(whole, directory / "folder/model.safetensors");
  return rule_of(SafetensorsFolder::try_open(directory / "folder", {.links = links}));
}
/// Opens and gives the header's size as verdict if more memory than that was taken.
int opening_takes_no_more_than(const std::string& file, std::size_t bytes, int verdict) {
  const support::AllocationCounter counter;
  const int rule = rule_of(SafetensorsFile::try_open(bytes_of(file)));
  const std::size_t taken = counter.bytes();
  if (support::AllocationCounter::available() && taken > bytes) return static_cast<int>(taken);
  return rule == verdict ? accepted : rule;
}

void files_that_change(std::vector<Case>& all) {
  const auto shortened_to = [](std::uintmax_t size) {
    return [size](const std::filesystem::path& path) { std::filesystem::resize_file(path, size); };
  };
  const std::uintmax_t whole = holding<std::uint8_t>(std::vector<std::uint8_t>(5000), "U8").size();
  all.push_back({34, "intact", accepted, [=] { return after(shortened_to(whole)); }});
  all.push_back({34, "a byte longer than it was", accepted, [=] { return after(shortened_to(whole + 1)); }});
  all.push_back({34, "a byte shorter than it was", 34, [=] { return after(shortened_to(whole - 1)); }});
  all.push_back({34, "cut in its header", 34, [=] { return after(shortened_to(20)); }});
  all.push_back({34, "cut to nothing", 34, [=] { return after(shortened_to(0)); }});
  all.push_back({36, "deleted", accepted,
                 [] { return after([](const std::filesystem::path& path) { std::filesystem::remove(path); }); }});
  all.push_back({36, "another file under its name", accepted, [] {
                   return after([](const std::filesystem::path& path) {
                     std::ofstream(path.string() + "2") << "another";
                     std::filesystem::rename(path.string() + "2", path);
                   });
                 }});
  all.push_back({36, "cut by pages, where a mapping would raise a signal", 34,
                 [=] { return after(shortened_to(whole > 4096 ? 4096 : 0)); }});
  using support::TemporaryDirectory;
  all.push_back({35, "a file", accepted, [] { return opening([](const TemporaryDirectory& d) { return d / "f"; }); }});
  all.push_back({35, "a link to a file", accepted, [] {
                   return opening([](const TemporaryDirectory& d) {
                     std::filesystem::create_symlink("f", d / "link");
                     return d / "link";
                   });
                 }});
  all.push_back({35, "a directory", 35, [] { return opening([](const TemporaryDirectory& d) { return d.path(); }); }});
  all.push_back({35, "a pipe without a writer", 35, [] {
                   return opening([](const TemporaryDirectory& d) {
                     if (::mkfifo((d / "pipe").c_str(), 0600) != 0) return std::filesystem::path();
                     return d / "pipe";
                   });
                 }});
  all.push_back({35, "an endless device", 35,
                 [] { return opening([](const TemporaryDirectory&) { return std::filesystem::path("/dev/zero"); }); }});
}

void bytes_as_they_lie(std::vector<Case>& all) {
  const std::size_t before = holding<double>({0.5}, "F64").size() - 16;  // header length without padding
  for (const std::size_t modulus : {0U, 1U, 7U, 63U}) {
    all.push_back({37, "header length modulo 64", accepted,
                   [=] { return value_is(holding<double>({0.5}, "F64", (64 + modulus - before % 64) % 64), 0.5); }});
  }
  all.push_back({38, "two bytes", accepted, [] {
                   std::string file = one("U16", "1", 2);
                   file.replace(file.size() - 2, 2, "\x34\x12");
                   return value_is<std::uint16_t>(file, 0x1234);
                 }});
  all.push_back({38, "a float", accepted, [] {
                   std::string file = one("F32", "1", 4);
                   file.replace(file.size() - 4, 4, std::string("\0\0\x80\x3f", 4));
                   return value_is(file, 1.0F);
                 }});
  all.push_back({38, "eight bytes", accepted, [] {
                   std::string file = one("I64", "1", 8);
                   file.replace(file.size() - 8, 8, "\xfe\xff\xff\xff\xff\xff\xff\xff");
                   return value_is<std::int64_t>(file, -2);
                 }});
  for (const int value : {0, 1, 2, 255}) {
    all.push_back({39, "a truth value", value < 2 ? accepted : 39, [=] {
                     return reading<bool>(holding<std::uint8_t>({1, static_cast<std::uint8_t>(value)}, "BOOL"), {2});
                   }});
  }
}

void values(std::vector<Case>& all) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr ReadOptions finite = {.finite = Finite::required};
  constexpr ReadOptions rounded = {.narrowing = Narrowing::rounded};
  const auto floats = [](float value) { return holding<float>({1, value}, "F32"); };
  all.push_back({40, "the largest", accepted,
                 [=] { return reading<float>(floats((std::numeric_limits<float>::max)()), {2}, finite); }});
  all.push_back({40, "infinity", 40, [=] { return reading<float>(floats(infinity), {2}, finite); }});
  all.push_back({40, "minus infinity", 40, [=] { return reading<float>(floats(-infinity), {2}, finite); }});
  all.push_back(
      {40, "no number", 40, [=] { return reading<float>(floats(std::bit_cast<float>(0xffffffffU)), {2}, finite); }});
  all.push_back({40, "no number, unasked", accepted,
                 [=] { return reading<float>(floats(std::bit_cast<float>(0x7fc00000U)), {2}); }});
  const auto doubles = [](double value) { return holding<double>({1, value}, "F64"); };
  all.push_back({41, "24 bits", accepted, [=] { return reading<float>(doubles(1 + 0x1p-23), {2}); }});
  all.push_back({41, "25 bits", 41, [=] { return reading<float>(doubles(1 + 0x1p-24), {2}); }});
  all.push_back({41, "25 bits, rounded on request", accepted,
                 [=] { return reading<float>(doubles(1 + 0x1p-24), {2}, rounded); }});
  all.push_back({41, "far too large", 41, [=] { return reading<float>(doubles(1e300), {2}); }});
  const auto integers = [](std::int64_t value) { return holding<std::int64_t>({1, value}, "I64"); };
  all.push_back({41, "2^31 - 1", accepted, [=] { return reading<std::int32_t>(integers(2147483647), {2}); }});
  all.push_back({41, "2^31", 41, [=] { return reading<std::int32_t>(integers(2147483648), {2}, rounded); }});
  all.push_back({41, "-2^63", 41,
                 [=] { return reading<std::int32_t>(integers((std::numeric_limits<std::int64_t>::min)()), {2}); }});
  all.push_back({42, "shape and type of the file", accepted, [=] { return reading<float>(floats(1), {2}); }});
  all.push_back({42, "a dimension more", 42, [=] { return reading<float>(floats(1), {2, 1}); }});
  all.push_back({42, "an element more", 42, [=] { return reading<float>(floats(1), {3}); }});
  all.push_back({42, "floats as integers", 42, [=] { return reading<std::int32_t>(floats(1), {2}); }});
  all.push_back({42, "a type without arithmetic", 42, [=] { return reading<float>(one("F8_E4M3", "2", 2), {2}); }});
}

void memory_and_exceptions(std::vector<Case>& all) {
  const std::string large = file_bytes("{}" + std::string(1'000'000, ' '));
  all.push_back({43, "a header of two bytes", accepted,
                 [] { return opening_takes_no_more_than(file_bytes("{}"), 16, accepted); }});
  all.push_back({43, "a header of a megabyte", accepted,
                 [=] { return opening_takes_no_more_than(large, large.size(), accepted); }});
  all.push_back({43, "the promise of 100 megabytes", accepted,
                 [] { return opening_takes_no_more_than(hand_made::with_length("{}", 99'999'999), 0, 5); }});
  all.push_back({43, "the promise of all memory", accepted,
                 [] { return opening_takes_no_more_than(hand_made::with_length("{}", ~std::uint64_t{0}), 0, 4); }});
  for (const char* odd : {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1", "\xff\xff\xff\xff", "{\"\\u0000"}) {
    all.push_back({44, "no exception leaves", accepted, [=] {
                     const std::string file = file_bytes(odd, 3);
                     return rule_of(SafetensorsFile::try_open(bytes_of(file))) > 0 ? accepted : wrong_value;
                   }});
  }
}

void links(std::vector<Case>& all) {
  all.push_back({47, "a link to a file beside it", accepted, [] { return linking("other"); }});
  all.push_back({47, "out and in again", accepted, [] { return linking("../folder/other"); }});
  all.push_back({47, "the parent's file", 47, [] { return linking("../secret"); }});
  all.push_back({47, "the parent's file by its whole path", 47, [] { return linking("/secret"); }});
  all.push_back({47, "a device", 47, [] { return linking("../../../../../../../../../../../../dev/zero"); }});
  all.push_back(
      {47, "the parent's file, allowed", accepted, [] { return linking("../secret", SymbolicLinks::anywhere); }});
  all.push_back({47, "to itself", system_refused, [] { return linking("model.safetensors"); }});
}

TEST(HandMadeReading, keeps_each_rule) {
  std::vector<Case> all;
  files_that_change(all);
  bytes_as_they_lie(all);
  values(all);
  memory_and_exceptions(all);
  links(all);
  std::map<int, int> count;
  for (const Case& one_case : all) {
    EXPECT_EQ(one_case.run(), one_case.verdict) << "rule " << one_case.rule << ": " << one_case.name;
    ++count[one_case.rule];
  }
  for (int rule = 34; rule <= 44; ++rule) EXPECT_GE(count[rule], 3) << rule;
  EXPECT_GE(count[47], 3);
  const std::map<int, int> expected = {{34, 5}, {35, 5}, {36, 3}, {37, 4}, {38, 3}, {39, 4},
                                       {40, 5}, {41, 7}, {42, 5}, {43, 4}, {44, 3}, {47, 7}};
  EXPECT_EQ(count, expected);
  EXPECT_EQ(all.size(), 55U);
}

}  // namespace
