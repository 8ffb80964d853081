// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_parser.hpp>

#include <eigenformer/io/safetensors.hpp>

#include "reference/safetensors.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <cctype>

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
    const std::string whole = text_of(file);
    for (std::size_t size = 0; size < whole.size(); ++size, ++tried) {
      ASSERT_FALSE(reference::is_safetensors(whole.substr(0, size)));
      ASSERT_TRUE(agrees_with_reference(whole.substr(0, size))) << size << " of " << file.header;
    }
    // The header cut, with a length that says so.
    for (std::size_t size = 0; size < file.header.size(); ++size, ++tried) {
      ASSERT_TRUE(agrees_with_reference(text_of({file.header.substr(0, size), file.data_bytes})));
    }
  }
  EXPECT_GE(tried, 1400);
}

TEST(SafetensorsParser, judges_every_flipped_bit) {
  int tried = 0;
  for (const support::ValidFile& file : support::valid_files()) {
    const std::string whole = text_of(file);
    for (std::size_t bit = 0; bit < 8 * (8 + file.header.size()); ++bit, ++tried) {
      std::string damaged = whole;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      ASSERT_TRUE(agrees_with_reference(damaged)) << "bit " << bit << " of " << file.header;
    }
  }
  EXPECT_GE(tried, 5700);
}

std::vector<std::string> tokens(const std::string& json) {
  std::vector<std::string> found;
  for (std::size_t i = 0; i < json.size();) {
    std::size_t end = i + 1;
    if (json[i] == '"') {
      while (json[end] != '"') end += json[end] == '\\' ? 2 : 1;
      ++end;
    } else if (std::isdigit(static_cast<unsigned char>(json[i])) != 0) {
      while (std::isdigit(static_cast<unsigned char>(json[end])) != 0) ++end;
    }
    found.push_back(json.substr(i, end - i));
    i = end;
  }
  return found;
}

TEST(SafetensorsParser, judges_every_token_dropped_doubled_swapped_or_replaced) {
  const std::vector<std::string> others = {"{",
                                           "}",
                                           "[",
                                           "]",
                                           ":",
                                           ",",
                                           "0",
                                           "1",
                                           "-1",
                                           "1.0",
                                           "1e3",
                                           "18446744073709551615",
                                           "\"\"",
                                           "null",
                                           "true",
                                           "\"a\"",
                                           "\"dtype\"",
                                           "\"\\u0061\"",
                                           "\"__metadata__\"",
                                           "\"F32\"",
                                           " ",
                                           "\n"};
  int tried = 0;
  for (const support::ValidFile& file : support::valid_files()) {
    const std::vector<std::string> all = tokens(file.header);
    const auto judge = [&](const std::vector<std::string>& edited) {
      std::string header;
      for (const std::string& token : edited) header += token;
      ++tried;
      return agrees_with_reference(text_of({header, file.data_bytes}));
    };
    for (std::size_t i = 0; i < all.size(); ++i) {
      std::vector<std::string> edited = all;
      edited.erase(edited.begin() + static_cast<std::ptrdiff_t>(i));
      ASSERT_TRUE(judge(edited));
      edited = all;
      edited.insert(edited.begin() + static_cast<std::ptrdiff_t>(i), all[i]);
      ASSERT_TRUE(judge(edited));
      for (std::size_t j = i + 1; j < all.size(); ++j) {
        edited = all;
        std::swap(edited[i], edited[j]);
        ASSERT_TRUE(judge(edited));
      }
      for (const std::string& other : others) {
        edited = all;
        edited[i] = other;
        ASSERT_TRUE(judge(edited));
      }
    }
  }
  EXPECT_GE(tried, 15'000);
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
