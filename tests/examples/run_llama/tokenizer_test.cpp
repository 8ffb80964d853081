// SPDX-License-Identifier: MIT

#include "../../../examples/run_llama/tokenizer.hpp"

#include "support/inputs.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

namespace {

using Token = Tokenizer::Token;

/// Writes a tokenizer's file piece by piece.
struct Pieces {
  std::int32_t longest = 8;
  std::vector<std::pair<float, std::string>> pieces;

  /// The three special pieces and the 256 bytes, which every file begins with, then those given.
  explicit Pieces(const std::vector<std::pair<float, std::string>>& more = {}) {
    for (const char* special : {"<unk>", "\n<s>\n", "\n</s>\n"}) pieces.emplace_back(0.0F, special);
    for (int byte = 0; byte < 256; ++byte) {
      char text[8];
      std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(byte));
      pieces.emplace_back(0.0F, text);
    }
    pieces.insert(pieces.end(), more.begin(), more.end());
  }
  support::Bytes bytes() const {
    support::Bytes bytes;
    const auto append = [&](const void* data, std::size_t size) {
      const auto* const first = static_cast<const std::byte*>(data);
      bytes.insert(bytes.end(), first, first + size);
    };
    append(&longest, 4);
    for (const auto& [score, text] : pieces) {
      const auto length = static_cast<std::int32_t>(text.size());
      append(&score, 4);
      append(&length, 4);
      append(text.data(), text.size());
    }
    return bytes;
  }
  std::int64_t count() const { return static_cast<std::int64_t>(pieces.size()); }
};

class TokenizerFile : public testing::Test {
 protected:
  Tokenizer open(const Pieces& pieces) {
    support::write_file(path, pieces.bytes());
    return {path, pieces.count()};
  }
  std::string error(const support::Bytes& bytes, std::int64_t vocabulary) {
    support::write_file(path, bytes);
    try {
      const Tokenizer tokenizer(path, vocabulary);
    } catch (const std::runtime_error& failure) {
      const std::string prefix = "tokenizer '" + path.string() + "': ";
      EXPECT_TRUE(std::string_view(failure.what()).starts_with(prefix)) << failure.what();
      return failure.what() + prefix.size();
    }
    return "none";
  }
  support::TemporaryDirectory directory;
  std::filesystem::path path = directory / "tokenizer.bin";
};

using TokenizerEncoding = TokenizerFile;

/// What run.c does, written anew: all pairs are looked at for every merge.
std::vector<Token> slowly_encoded(const Pieces& pieces, const std::string& text) {
  std::map<std::string, Token> tokens_of;
  for (std::size_t i = 0; i < pieces.pieces.size(); ++i) {
    tokens_of.emplace(pieces.pieces[i].second, static_cast<Token>(i));
  }
  std::vector<Token> tokens;
  const std::string with_space = text.empty() ? "" : " " + text;
  for (std::size_t i = 0; i < with_space.size();) {
    std::string character(1, with_space[i++]);
    while (i < with_space.size() && character.size() < 4 && (static_cast<unsigned char>(with_space[i]) >> 6U) == 2U) {
      character += with_space[i++];
    }
    if (tokens_of.contains(character)) {
      tokens.push_back(tokens_of.at(character));
    } else {
      for (const char byte : character) tokens.push_back(3 + static_cast<unsigned char>(byte));
    }
  }
  for (;;) {
    std::size_t best = tokens.size();
    Token merged = -1;
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto found = tokens_of.find(pieces.pieces[static_cast<std::size_t>(tokens[i])].second +
                                        pieces.pieces[static_cast<std::size_t>(tokens[i + 1])].second);
      if (found == tokens_of.end()) continue;
      const auto score = [&](Token token) { return pieces.pieces[static_cast<std::size_t>(token)].first; };
      if (merged < 0 || score(found->second) > score(merged)) {
        merged = found->second;
        best = i;
      }
    }
    if (merged < 0) return tokens;
    tokens[best] = merged;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST_F(TokenizerEncoding, merges_the_best_pair_first_and_the_leftmost_of_equals) {
  // 259 " ", 260 a, 261 b, 262 c, 263 ab, 264 bc, 265 abc, 266 aa
  const Tokenizer tokenizer =
      open(Pieces({{-1, " "}, {-2, "a"}, {-3, "b"}, {-4, "c"}, {-9, "ab"}, {-8, "bc"}, {-20, "abc"}, {-5, "aa"}}));
  EXPECT_EQ(tokenizer.encode(""), std::vector<Token>{});
  EXPECT_EQ(tokenizer.encode("abc"), (std::vector<Token>{259, 265}));  // bc first, then a with it
  EXPECT_EQ(tokenizer.encode("abab"), (std::vector<Token>{259, 263, 263}));
  EXPECT_EQ(tokenizer.encode("aaa"), (std::vector<Token>{259, 266, 260}));
  EXPECT_EQ(tokenizer.encode("aaaa"), (std::vector<Token>{259, 266, 266}));
  EXPECT_EQ(tokenizer.encode("x"), (std::vector<Token>{259, 3 + 'x'}));
  EXPECT_EQ(tokenizer.encode("\xc3\xa9"), (std::vector<Token>{259, 3 + 0xc3, 3 + 0xa9}));
  EXPECT_EQ(tokenizer.encode(std::string_view("\0a", 2)), (std::vector<Token>{259, 3, 260}));
}

TEST_F(TokenizerEncoding, merges_nothing_that_run_c_takes_for_impossible) {
  const Tokenizer tokenizer = open(Pieces({{0, " "}, {0, "a"}, {-1e10F, "aa"}}));
  EXPECT_EQ(tokenizer.encode("aa"), (std::vector<Token>{259, 260, 260}));
}

// Texts of few letters over many pieces with equal scores, so that merges overtake and undo each other.
TEST_F(TokenizerEncoding, is_that_of_looking_at_all_pairs_each_time) {
  support::Generator random(71);
  int cases = 0;
  for (int vocabulary = 0; vocabulary < 20; ++vocabulary) {
    std::vector<std::pair<float, std::string>> more = {{0, " "}, {0, "a"}, {0, "b"}, {0, "\xc3\xa9"}};
    std::map<std::string, int> known;
    for (int i = 0; i < 40; ++i) {
      std::string piece;
      for (Token letters = 2 + static_cast<Token>(random.integer(3)); letters > 0; --letters) {
        piece += more[1 + static_cast<std::size_t>(random.integer(3))].second;
      }
      if (known[piece]++ == 0) more.emplace_back(-static_cast<float>(random.integer(7)), piece);
    }
    const Pieces pieces(more);
    const Tokenizer tokenizer = open(pieces);
    for (int text_number = 0; text_number < 50; ++text_number, ++cases) {
      std::string text;
      for (Token letters = static_cast<Token>(random.integer(60)); letters > 0; --letters) {
        text += more[static_cast<std::size_t>(random.integer(4))].second;
      }
      ASSERT_EQ(tokenizer.encode(text), slowly_encoded(pieces, text)) << text;
    }
  }
  EXPECT_EQ(cases, 1000);
}

// The quadratic loop would look at 10^11 pairs.
TEST_F(TokenizerEncoding, takes_long_texts) {
  const Tokenizer tokenizer = open(Pieces({{0, " "}, {0, "a"}, {-1, "aa"}, {-2, "aaaa"}, {-3, "aaaaaaaa"}}));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(tokenizer.encode(std::string(800'000, 'a')).size(), 100'001U);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST_F(TokenizerEncoding, decodes_bytes_and_drops_the_first_space) {
  const Tokenizer tokenizer = open(Pieces({{0, " "}, {0, "a"}, {0, " a"}, {0, "<0x4>"}, {0, "<0x4g>"}, {0, "<0x4a>"}}));
  EXPECT_EQ(tokenizer.decode(1, 261, 1), "a");
  EXPECT_EQ(tokenizer.decode(260, 261, 1), " a");
  EXPECT_EQ(tokenizer.decode(1, 259, 1), "");
  EXPECT_EQ(tokenizer.decode(1, 3 + 0xc3, 1), "\xc3");
  EXPECT_EQ(tokenizer.decode(1, 3, 1), std::string(1, '\0'));
  EXPECT_EQ(tokenizer.decode(1, 262, 1), "<0x4>");
  EXPECT_EQ(tokenizer.decode(1, 263, 1), "<0x4g>");
  EXPECT_EQ(tokenizer.decode(1, 264, 1), "<0x4a>");
}

TEST_F(TokenizerFile, is_checked_before_it_is_believed) {
  const Pieces good({{0, " "}, {1, "abc"}});
  EXPECT_EQ(error(good.bytes(), good.count()), "none");
  EXPECT_EQ(error({}, 261), "expected at least 4 bytes");
  EXPECT_EQ(error(good.bytes(), 262), "ends before token 261 of 262");
  EXPECT_EQ(error(good.bytes(), 260), "holds more than the model's 260 tokens: 11 bytes are left");
  EXPECT_EQ(error(good.bytes(), std::int64_t{1} << 40), "too short for the model's 1099511627776 tokens");
  EXPECT_EQ(error(good.bytes(), -1), "too short for the model's -1 tokens");
  Pieces other = good;
  for (const std::int32_t longest : {0, -1, 4097, 2147483647}) {
    other.longest = longest;
    EXPECT_EQ(error(other.bytes(), 261), "expected a longest piece of 1 .. 4096, got " + std::to_string(longest));
  }
  other.longest = 5;
  EXPECT_EQ(error(other.bytes(), 261), "token 2: expected a length of 0 .. 5, got 6");
  other = good;
  other.pieces[260].first = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(error(other.bytes(), 261), "token 260: expected a finite score");
  other = good;
  other.pieces[68].second = "<0x40>";
  EXPECT_EQ(error(other.bytes(), 261), "expected the piece of byte 65 as token 68");
  EXPECT_EQ(error(Pieces().bytes(), 259), "none");
  other = Pieces();
  other.pieces.pop_back();
  EXPECT_EQ(error(other.bytes(), 258), "expected the piece of byte 255 as token 258");
}

TEST_F(TokenizerFile, is_refused_whenever_it_is_cut_or_a_length_lies) {
  const Pieces good({{0, " "}, {1, "abc"}});
  const support::Bytes whole = good.bytes();
  for (std::size_t cut = 0; cut < whole.size(); cut += 37) {
    EXPECT_NE(error({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut)}, 261), "none") << cut;
  }
  const std::size_t length = whole.size() - 7;  // of the last piece
  for (const std::int32_t lie : {-1, 2, 4, 8, 9, 2147483647, std::numeric_limits<std::int32_t>::min()}) {
    support::Bytes bytes = whole;
    std::memcpy(bytes.data() + length, &lie, 4);
    EXPECT_NE(error(bytes, 261), "none") << lie;
  }
  EXPECT_THROW(Tokenizer(directory / "absent", 261), std::runtime_error);
  EXPECT_THROW(Tokenizer(directory.path(), 261), std::runtime_error);
}

class PublishedTokenizer : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  }
  nlohmann::json json(const char* name) const { return nlohmann::json::parse(std::ifstream(folder / name)); }
  std::filesystem::path folder = std::filesystem::path(EIGENFORMER_MODELS_DIR) / "stories260K";
};

TEST_F(PublishedTokenizer, gives_the_tokens_of_run_c) {
  const Tokenizer tokenizer(folder / "tok512.bin", 512);
  int cases = 0;
  const nlohmann::json file = json("tokenizer_cases.json");
  for (const auto& each : file["cases"]) {
    std::vector<Token> tokens = {1};
    const std::vector<Token> text = tokenizer.encode(each["text"].get<std::string>());
    tokens.insert(tokens.end(), text.begin(), text.end());
    EXPECT_EQ(tokens, each["ids_with_bos"].get<std::vector<Token>>()) << each["text"];
    ++cases;
  }
  EXPECT_EQ(cases, 9);
}

TEST_F(PublishedTokenizer, gives_the_text_of_run_c) {
  const Tokenizer tokenizer(folder / "tok512.bin", 512);
  int prompts = 0;
  const nlohmann::json file = json("expected.json");
  for (const auto& [name, prompt] : file["prompts"].items()) {
    auto tokens = prompt["prompt_tokens"].get<std::vector<Token>>();
    const std::vector<Token> own = tokenizer.encode(prompt["prompt"].get<std::string>());
    EXPECT_TRUE(std::equal(own.begin(), own.end(), tokens.begin() + 1, tokens.end())) << name;
    for (const auto& token : prompt["greedy_tokens"]) tokens.push_back(token.get<Token>());
    std::string text;
    for (std::size_t i = 1; i < tokens.size(); ++i) text += tokenizer.decode(tokens[i - 1], tokens[i], 1);
    EXPECT_EQ(text, prompt["greedy_text"].get<std::string>()) << name;
    ++prompts;
  }
  EXPECT_EQ(prompts, 3);
}

}  // namespace
