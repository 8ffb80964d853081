// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_parser.hpp>

#include <eigenformer/io/safetensors.hpp>

#include "reference/safetensors.hpp"
#include "support/damage.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

namespace {

using namespace eigenformer;
using support::Bytes;

std::string text_of(const support::ValidFile& file) {
  const Bytes bytes = support::safetensors_bytes(file.header, file.data_bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Reads damaged bytes from memory of exactly their size, so that a sanitizer sees every byte too far, and compares the
/// verdict with that of the plain reader. Of accepted bytes every tensor is read.
bool agrees_with_reference(const std::string& damaged) {
  const Bytes bytes(reinterpret_cast<const std::byte*>(damaged.data()),
                    reinterpret_cast<const std::byte*>(damaged.data()) + damaged.size());
  const Result<SafetensorsFile> file = SafetensorsFile::try_open(std::span(bytes));
  const bool accepted = static_cast<bool>(file);
  EXPECT_EQ(accepted, reference::is_safetensors(damaged)) << testing::PrintToString(damaged);
  if (!accepted) {
    EXPECT_GE(file.fault().rule, 1);
    EXPECT_LE(file.fault().rule, 33);
    EXPECT_LE(file.fault().position, damaged.size());
    return accepted == reference::is_safetensors(damaged);
  }
  std::string last;
  for (std::size_t i = 0; i < file->size(); ++i) {
    const SafetensorsEntry entry = (*file)[i];
    EXPECT_TRUE(i == 0 || last < entry.name);
    last = entry.name;
    EXPECT_TRUE(file->find(last).has_value());
    if (entry.bytes() > damaged.size()) return false;
    if (entry.dtype != Dtype::u8) continue;
    std::vector<std::uint8_t> room(static_cast<std::size_t>(entry.shape.size()));
    EXPECT_TRUE(file->try_read<std::uint8_t>(last, entry.shape, room));
  }
  return true;
}

TEST(SafetensorsParser, accepts_the_files_it_is_tried_on) {
  for (const support::ValidFile& file : support::valid_files()) {
    EXPECT_TRUE(reference::is_safetensors(text_of(file))) << file.header;
    EXPECT_TRUE(agrees_with_reference(text_of(file))) << file.header;
  }
}

// L12: a file cut anywhere.
TEST(SafetensorsParser, judges_every_prefix) {
  int tried = 0;
  for (const support::ValidFile& file : support::valid_files()) {
    tried += support::for_each_prefix(text_of(file), [](const std::string& damaged) {
      EXPECT_FALSE(reference::is_safetensors(damaged));
      EXPECT_TRUE(agrees_with_reference(damaged));
    });
    // The header cut, with a length that says so.
    tried += support::for_each_prefix(file.header, [&](const std::string& header) {
      EXPECT_TRUE(agrees_with_reference(text_of({header, file.data_bytes})));
    });
  }
  EXPECT_EQ(tried, 1461);
}

TEST(SafetensorsParser, judges_every_flipped_bit) {
  int tried = 0;
  for (const support::ValidFile& file : support::valid_files()) {
    tried += support::for_each_flipped_bit(text_of(file), 8 + file.header.size(), [](const std::string& damaged) {
      EXPECT_TRUE(agrees_with_reference(damaged));
    });
  }
  EXPECT_EQ(tried, 5784);
}

TEST(SafetensorsParser, judges_every_token_dropped_doubled_swapped_or_replaced) {
  int tried = 0;
  for (const support::ValidFile& file : support::valid_files()) {
    tried += support::for_each_token_edit(file.header, support::telling_tokens(), [&](const std::string& header) {
      EXPECT_TRUE(agrees_with_reference(text_of({header, file.data_bytes})));
    });
  }
  EXPECT_EQ(tried, 17451);
}

// Bytes that no edit of a valid file reaches, from a fixed seed.
TEST(SafetensorsParser, judges_random_splices) {
  std::uint64_t state = 20260101;
  const auto next = [&](std::size_t below) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::size_t>(state >> 33U) % below;
  };
  const std::vector<support::ValidFile> files = support::valid_files();
  for (int i = 0; i < 5000; ++i) {
    const std::string& a = files[next(files.size())].header;
    const std::string& b = files[next(files.size())].header;
    std::string header = a.substr(0, next(a.size() + 1)) + b.substr(next(b.size()));
    for (std::size_t k = next(4); k > 0; --k) header[next(header.size())] = static_cast<char>(next(256));
    ASSERT_TRUE(agrees_with_reference(text_of({header, next(20)})));
  }
}

}  // namespace
