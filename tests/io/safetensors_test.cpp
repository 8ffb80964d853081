// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors.hpp>

#include "support/allocation.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>

namespace {

using namespace eigenformer;
using support::Bytes;
using support::safetensors_bytes;
using support::tensor_json;

/// A file of one tensor `a` with the given elements, behind `padding` spaces of header.
template <class T>
Bytes file_of(const std::string& shape, const std::vector<T>& elements, const std::string& dtype,
              std::size_t padding = 0) {
  const std::size_t size = elements.size() * sizeof(T);
  Bytes bytes =
      safetensors_bytes("{" + tensor_json("a", dtype, shape, 0, size) + "}" + std::string(padding, ' '), size);
  std::memcpy(bytes.data() + bytes.size() - size, static_cast<const void*>(elements.data()), size);
  return bytes;
}
int rule_of(const Result<void>& result) { return result ? 0 : result.fault().rule; }

TEST(Safetensors, reads_from_memory_and_from_disk) {
  const Bytes bytes = file_of<float>("2,3", {1, 2, 3, 4, 5, 6.5F}, "F32");
  const support::TemporaryDirectory directory;
  support::write_file(directory / "f.safetensors", bytes);
  const SafetensorsFile memory{std::span(bytes)};
  const SafetensorsFile disk{directory / "f.safetensors"};
  for (const SafetensorsFile* file : {&memory, &disk}) {
    const Tensor<float, 2> tensor = file->tensor<float, 2>("a");
    EXPECT_EQ(tensor.dimension(0), 2);
    EXPECT_EQ(tensor(1, 2), 6.5F);
    EXPECT_EQ(tensor(0, 1), 2.0F);
    EXPECT_EQ(file->values<double>("a"), (std::vector<double>{1, 2, 3, 4, 5, 6.5}));
  }
  EXPECT_EQ(disk.source(), (directory / "f.safetensors").string());
}

TEST(Safetensors, keeps_the_file_open_and_moves) {
  const support::TemporaryDirectory directory;
  support::write_file(directory / "f", file_of<float>("1", {7}, "F32"));
  SafetensorsFile first{directory / "f"};
  std::filesystem::remove(directory / "f");
  SafetensorsFile second = std::move(first);
  EXPECT_EQ(second.values<float>("a").at(0), 7.0F);
  SafetensorsFile third{std::span<const std::byte>(safetensors_bytes("{}", 0))};
  third = std::move(second);
  EXPECT_EQ(third.values<float>("a").at(0), 7.0F);
}

template <class T, class Stored = T>
void expect_alignment_does_not_matter(const std::string& dtype) {
  const std::vector<Stored> elements = {Stored(1), Stored(0), Stored(1)};
  for (std::size_t padding = 0; padding < 64; ++padding) {
    const Bytes bytes = file_of<Stored>("3", elements, dtype, padding);
    const SafetensorsFile file{std::span(bytes)};
    std::array<T, 3> read{};
    file.read<T>("a", {3}, read);
    for (std::size_t i = 0; i < 3; ++i) ASSERT_TRUE(read[i] == T(elements[i])) << dtype << padding;
  }
}

// L13; what UBSan checks.
TEST(Safetensors, reads_tensors_at_every_alignment) {
  expect_alignment_does_not_matter<bool, std::uint8_t>("BOOL");
  expect_alignment_does_not_matter<std::uint8_t>("U8");
  expect_alignment_does_not_matter<std::int8_t>("I8");
  expect_alignment_does_not_matter<std::int16_t>("I16");
  expect_alignment_does_not_matter<std::uint16_t>("U16");
  expect_alignment_does_not_matter<std::int32_t>("I32");
  expect_alignment_does_not_matter<std::uint32_t>("U32");
  expect_alignment_does_not_matter<std::int64_t>("I64");
  expect_alignment_does_not_matter<std::uint64_t>("U64");
  expect_alignment_does_not_matter<float>("F32");
  expect_alignment_does_not_matter<double>("F64");
  expect_alignment_does_not_matter<Eigen::half>("F16");
  expect_alignment_does_not_matter<Eigen::bfloat16>("BF16");
}

// More elements than fit into one piece of the reading buffer, of sizes that do and do not divide it.
TEST(Safetensors, reads_large_tensors_piece_by_piece) {
  for (const std::size_t count : {16383U, 16384U, 16385U, 40'007U}) {
    std::vector<double> elements(count);
    for (std::size_t i = 0; i < count; ++i) elements[i] = static_cast<double>(i) * 0.5;
    const Bytes bytes = file_of<double>(std::to_string(count), elements, "F64", 3);
    const SafetensorsFile file{std::span(bytes)};
    EXPECT_EQ(file.values<double>("a"), elements);
    EXPECT_EQ(file.values<float>("a").back(), static_cast<float>(elements.back()));
  }
}

// Rule 42
TEST(Safetensors, wants_the_shape_and_type_it_is_asked_for) {
  const Bytes bytes = file_of<std::uint8_t>("2,3", {1, 2, 3, 4, 5, 6}, "U8");
  const SafetensorsFile file{std::span(bytes)};
  std::array<std::uint8_t, 6> room{};
  EXPECT_EQ(rule_of(file.try_read<std::uint8_t>("a", {2, 3}, room)), 0);
  for (const Shape& shape : {Shape{3, 2}, Shape{6}, Shape{2, 3, 1}, Shape{}, Shape{2, 4}}) {
    room.fill(9);
    const Result<void> got = file.try_read<std::uint8_t>("a", shape, room);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.fault().rule, 42);
    EXPECT_EQ(got.fault().reason.view(), "expected shape " + shape.to_string() + ", got [2, 3]");
    EXPECT_EQ(room[0], 9);
  }
  std::array<float, 6> floats{};
  const Result<void> got = file.try_read<float>("a", {2, 3}, floats);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.fault().reason.view(), "cannot read elements of type U8 as F32");
  EXPECT_EQ(rule_of(file.try_read<std::uint8_t>("b", {2, 3}, room)), 42);
  EXPECT_EQ(rule_of(file.try_read<std::uint8_t>("a", {2, 3}, std::span(room).first(5))), 42);
  EXPECT_THROW((file.tensor<std::uint8_t, 1>("a")), FileError);
  EXPECT_THROW((file.tensor<float, 2>("a")), FileError);
  EXPECT_THROW(file.values<std::uint8_t>("b"), FileError);
}

// Rule 20: the header of a file with exotic types is valid; reading them is a typed error.
TEST(Safetensors, refuses_types_it_has_no_arithmetic_for) {
  const support::ValidFile odd = support::valid_files().back();
  const Bytes bytes = safetensors_bytes(odd.header, odd.data_bytes);
  const SafetensorsFile file{std::span(bytes)};
  std::array<float, 4> room{};
  const Result<void> got = file.try_read<float>("q", {4}, room);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.fault().rule, 42);
  EXPECT_EQ(got.fault().reason.view(), "cannot read elements of type F6_E2M3 as F32");
}

// Rule 39
TEST(Safetensors, truth_values_are_zero_and_one) {
  const Bytes good = file_of<std::uint8_t>("3", {1, 0, 1}, "BOOL");
  const SafetensorsFile file{std::span(good)};
  std::array<bool, 3> room{};
  file.read<bool>("a", {3}, room);
  EXPECT_TRUE(room[0] && !room[1] && room[2]);
  for (const std::uint8_t wrong : std::array<std::uint8_t, 3>{2, 128, 255}) {
    const Bytes bad = file_of<std::uint8_t>("3", {1, 0, wrong}, "BOOL");
    const Result<void> got = SafetensorsFile(std::span(bad)).try_read<bool>("a", {3}, room);
    EXPECT_EQ(rule_of(got), 39);
    EXPECT_EQ(got.fault().position, bad.size() - 1);
  }
}

// Rule 40, L22
TEST(Safetensors, finds_what_is_not_finite_on_request) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float odd : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    const Bytes bytes = file_of<float>("4", {0, 1, odd, 3}, "F32");
    const SafetensorsFile file{std::span(bytes)};
    std::array<float, 4> room{};
    EXPECT_EQ(rule_of(file.try_read<float>("a", {4}, room)), 0);
    EXPECT_EQ(std::memcmp(&room[2], &odd, sizeof odd), 0);
    const Result<void> got = file.try_read<float>("a", {4}, room, {.finite = Finite::required});
    EXPECT_EQ(rule_of(got), 40);
    EXPECT_EQ(got.fault().position, bytes.size() - 8);
  }
  const Bytes denormal = file_of<float>("1", {std::numeric_limits<float>::denorm_min()}, "F32");
  EXPECT_EQ(SafetensorsFile(std::span(denormal)).values<float>("a", {.finite = Finite::required}).at(0),
            std::numeric_limits<float>::denorm_min());
  const Bytes large = file_of<double>("1", {1e300}, "F64");
  const SafetensorsFile file{std::span(large)};
  EXPECT_NO_THROW(file.values<double>("a", {.finite = Finite::required}));
  EXPECT_THROW(file.values<float>("a", {.narrowing = Narrowing::rounded, .finite = Finite::required}), FileError);
}

// Rule 41
TEST(Safetensors, narrows_without_loss_or_on_request) {
  const Bytes bytes = file_of<double>("3", {1, 0.5, 0.1}, "F64");
  const SafetensorsFile file{std::span(bytes)};
  std::array<float, 3> room{};
  const Result<void> got = file.try_read<float>("a", {3}, room);
  EXPECT_EQ(rule_of(got), 41);
  EXPECT_EQ(got.fault().position, bytes.size() - 8);
  EXPECT_EQ(file.values<float>("a", {.narrowing = Narrowing::rounded}).at(2), 0.1F);
  const Bytes tokens = file_of<std::int64_t>("2", {5, 5'000'000'000}, "I64");
  EXPECT_THROW(SafetensorsFile(std::span(tokens)).values<std::int32_t>("a", {.narrowing = Narrowing::rounded}),
               FileError);
}

TEST(Safetensors, checks_beforehand_what_reading_would_find) {
  const Bytes bytes = file_of<double>("3", {1, 0.5, 0.1}, "F64");
  const SafetensorsFile file{std::span(bytes)};
  EXPECT_EQ(rule_of(file.try_check<double>("a", {3})), 0);
  EXPECT_EQ(rule_of(file.try_check<float>("a", {3})), 41);
  EXPECT_EQ(rule_of(file.try_check<double>("a", {4})), 42);
  EXPECT_EQ(rule_of(file.try_check<double>("b", {3})), 42);
}

// Rule 34, L12
TEST(Safetensors, reports_a_file_cut_short_between_opening_and_reading) {
  const support::TemporaryDirectory directory;
  support::write_file(directory / "f", file_of<float>("1000", std::vector<float>(1000, 1.0F), "F32"));
  const SafetensorsFile file{directory / "f"};
  std::vector<float> room(1000);
  EXPECT_EQ(rule_of(file.try_read<float>("a", {1000}, room)), 0);
  std::filesystem::resize_file(directory / "f", std::filesystem::file_size(directory / "f") - 1);
  const Result<void> got = file.try_read<float>("a", {1000}, room);
  EXPECT_EQ(rule_of(got), 34);
  EXPECT_EQ(got.fault().tensor.view(), "a");
  EXPECT_EQ(rule_of(file.try_check<float>("a", {1000})), 34);
}

// Rule 35
TEST(Safetensors, refuses_what_is_no_regular_file) {
  const support::TemporaryDirectory directory;
  EXPECT_THROW(SafetensorsFile(directory.path()), FileError);
  EXPECT_THROW(SafetensorsFile(directory / "absent"), FileError);
  EXPECT_THROW(SafetensorsFile(std::filesystem::path("/dev/zero")), FileError);
}

// L21: other formats are refused by the first rule that they break, never handed to another reader.
TEST(Safetensors, refuses_pickles_and_archives) {
  for (const std::string magic : {"PK\x03\x04", "\x80\x02}q\x01.", "GGUF", "\x1f\x8b", "\x89HDF\r\n"}) {
    std::string content = magic + std::string(200, '\x7f');
    EXPECT_FALSE(SafetensorsFile::try_open(std::as_bytes(std::span(content)))) << magic;
  }
}

// Rule 43: opening costs the header's memory, reading a tensor its destination.
TEST(Safetensors, takes_the_memory_of_header_and_destination_only) {
  const support::TemporaryDirectory directory;
  const Bytes bytes = file_of<float>("1000000", std::vector<float>(1'000'000, 1.0F), "F32");
  support::write_file(directory / "f", bytes);
  std::vector<double> room(1'000'000);
  const std::filesystem::path path = directory / "f";
  const support::AllocationCounter counter;
  const Result<SafetensorsFile> file = SafetensorsFile::try_open(path);
  const bool read = file && file->try_read<double>("a", {1'000'000}, room);
  const std::size_t allocated = counter.bytes();
  EXPECT_TRUE(read);
  if (support::AllocationCounter::available()) {
    EXPECT_LE(allocated, 200U);
  }
}

// Rule 44
static_assert(noexcept(SafetensorsFile::try_open(std::span<const std::byte>())));
static_assert(noexcept(SafetensorsFile::try_open(std::declval<const std::filesystem::path&>())));
static_assert(noexcept(std::declval<const SafetensorsFile&>().try_read(std::declval<std::string_view>(),
                                                                       std::declval<const Shape&>(),
                                                                       std::declval<std::span<float>>())));

}  // namespace
