#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_file.hpp>

#include <cstdint>
#include <filesystem>
#include <queue>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// The tokenizer of llama2.c (https://github.com/karpathy/llama2.c, run.c): byte-pair encoding by score, with a token
/// for every byte that no piece covers. Its file holds an int32, the length of the longest piece, and for each token a
/// float32 score, an int32 length and the bytes of its piece; how many there are, the model knows. The file may come
/// from a stranger: std::runtime_error says what is wrong with it.
class Tokenizer {
 public:
  using Token = std::int32_t;

  Tokenizer(const std::filesystem::path& path, std::int64_t vocabulary) : source_(path.string()) {
    namespace ef = eigenformer;
    const auto opened = ef::InputFile::open(path);
    if (!opened) fail(std::string(opened.fault().reason.view()));
    constexpr std::uint64_t most_bytes = 1U << 28U;
    if (opened->size() > most_bytes) fail("expected at most 256 MB, got " + std::to_string(opened->size()) + " bytes");
    bytes_.resize(static_cast<std::size_t>(opened->size()));
    if (const auto got = opened->read(0, std::as_writable_bytes(std::span(bytes_))); !got) {
      fail(std::string(got.fault().reason.view()));
    }
    read_pieces(vocabulary);
    check_byte_pieces();
    sort_pieces();
  }

  std::size_t vocabulary() const { return pieces_.size(); }
  std::string_view piece(Token token) const {
    const Piece& piece = pieces_.at(static_cast<std::size_t>(token));
    return {bytes_.data() + piece.begin, piece.length};
  }

  /// The text as tokens, without one for its beginning. A space goes before a text that is not empty. Characters, or
  /// their bytes, are merged pair by pair: the pair whose piece has the highest score first, the leftmost of equals.
  /// O(n log n), where run.c looks at all pairs for each merge.
  std::vector<Token> encode(std::string_view text) const {
    if (text.empty()) return {};
    std::vector<Node> nodes;
    append_characters(" ", nodes);
    append_characters(text, nodes);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      nodes[i].previous = static_cast<long>(i) - 1;
      nodes[i].next = i + 1 < nodes.size() ? static_cast<long>(i) + 1 : none;
    }
    merge(nodes);
    std::vector<Token> tokens;
    for (long i = 0; i != none; i = nodes[static_cast<std::size_t>(i)].next) {
      tokens.push_back(nodes[static_cast<std::size_t>(i)].token);
    }
    return tokens;
  }

  /// The bytes that a token stands for. A text's first token, behind `begin`, loses the space that encode put there.
  std::string decode(Token previous, Token token, Token begin) const {
    std::string_view text = piece(token);
    if (previous == begin && text.starts_with(' ')) text.remove_prefix(1);
    if (const int byte = byte_of(text); byte >= 0) return {static_cast<char>(static_cast<unsigned char>(byte))};
    return std::string(text);
  }

 private:
  struct Piece {
    float score;
    std::uint32_t begin;
    std::uint32_t length;
  };
  static constexpr long none = -1;
  /// A token of the text, linked to its neighbours; a merged one keeps the place of its left part.
  struct Node {
    Token token;
    long previous = none;
    long next = none;
  };
  struct Merge {
    float score;
    long left;
    long right;
    Token left_token;  ///< the merge is out of date if the nodes hold others by now
    Token right_token;
    Token merged;
    bool operator<(const Merge& other) const { return score != other.score ? score < other.score : left > other.left; }
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("tokenizer '" + source_ + "': " + what);
  }

  template <class Number>
  Number number_at(std::size_t position) const {
    Number number;
    std::memcpy(&number, bytes_.data() + position, sizeof number);
    return number;
  }

  void read_pieces(std::int64_t vocabulary) {
    const std::size_t size = bytes_.size();
    if (size < 4) fail("expected at least 4 bytes");
    if (vocabulary < 0 || static_cast<std::uint64_t>(vocabulary) > (size - 4) / 8) {
      fail("too short for the model's " + std::to_string(vocabulary) + " tokens");
    }
    const auto longest = number_at<std::int32_t>(0);
    if (longest < 1 || longest > 4096) fail("expected a longest piece of 1 .. 4096, got " + std::to_string(longest));
    pieces_.reserve(static_cast<std::size_t>(vocabulary));
    std::size_t at = 4;
    for (std::int64_t token = 0; token < vocabulary; ++token) {
      const std::string name = "token " + std::to_string(token);
      if (size - at < 8) fail("ends before " + name + " of " + std::to_string(vocabulary));
      const auto score_bits = number_at<std::uint32_t>(at);
      const auto length = number_at<std::int32_t>(at + 4);
      constexpr std::uint32_t exponent = 0x7f800000;
      if ((score_bits & exponent) == exponent) fail(name + ": expected a finite score");
      if (length < 0 || length > longest) {
        fail(name + ": expected a length of 0 .. " + std::to_string(longest) + ", got " + std::to_string(length));
      }
      if (static_cast<std::size_t>(length) > size - at - 8) fail("ends within " + name);
      pieces_.push_back({number_at<float>(at), static_cast<std::uint32_t>(at + 8), static_cast<std::uint32_t>(length)});
      at += 8 + static_cast<std::size_t>(length);
    }
    if (at != size) {
      fail("holds more than the model's " + std::to_string(vocabulary) + " tokens: " + std::to_string(size - at) +
           " bytes are left");
    }
  }
  /// Bytes without a piece of their own are tokens 3 to 258.
  void check_byte_pieces() const {
    for (int byte = 0; byte < 256; ++byte) {
      if (static_cast<std::size_t>(byte) + 3 >= pieces_.size() || byte_of(piece(byte + 3)) != byte) {
        fail("expected the piece of byte " + std::to_string(byte) + " as token " + std::to_string(byte + 3));
      }
    }
  }
  /// The number in `<0xNN>`, or -1.
  static int byte_of(std::string_view text) {
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
    int byte = 0;
    for (const char digit : text.substr(3, 2)) {
      const bool decimal = digit >= '0' && digit <= '9';
      if (!decimal && !(digit >= 'A' && digit <= 'F')) return -1;
      byte = byte * 16 + (decimal ? digit - '0' : digit - 'A' + 10);
    }
    return byte;
  }

  /// A sorted list instead of a hash table: nobody can choose pieces that make it slow.
  void sort_pieces() {
    for (std::size_t i = 0; i < pieces_.size(); ++i) by_text_.push_back(static_cast<Token>(i));
    std::sort(by_text_.begin(), by_text_.end(), [this](Token a, Token b) {
      const int order = piece(a).compare(piece(b));
      return order != 0 ? order < 0 : a < b;
    });
  }
  /// The first token with that piece, or -1.
  Token find(std::string_view text) const {
    const auto at = std::lower_bound(by_text_.begin(), by_text_.end(), text,
                                     [this](Token token, std::string_view sought) { return piece(token) < sought; });
    return at != by_text_.end() && piece(*at) == text ? *at : -1;
  }

  /// A token for each UTF-8 character, or, where there is no such piece, for each of its bytes.
  void append_characters(std::string_view text, std::vector<Node>& nodes) const {
    const auto continues = [&](std::size_t i) {
      return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xc0U) == 0x80U;
    };
    for (std::size_t at = 0; at < text.size();) {
      std::size_t length = 1;
      while (length < 4 && continues(at + length)) ++length;
      const std::string_view character = text.substr(at, length);
      if (const Token token = find(character); token >= 0) {
        nodes.push_back({token});
      } else {
        for (const char byte : character) nodes.push_back({static_cast<unsigned char>(byte) + 3});
      }
      at += length;
    }
  }

  void merge(std::vector<Node>& nodes) const {
    std::priority_queue<Merge> merges;
    std::string both;
    const auto consider = [&](long left) {
      if (left == none) return;
      const Node& node = nodes[static_cast<std::size_t>(left)];
      if (node.next == none) return;
      const Token right = nodes[static_cast<std::size_t>(node.next)].token;
      both.assign(piece(node.token)).append(piece(right));
      const Token merged = find(both);
      constexpr float lowest = -1e10F;  // run.c merges nothing with a score below
      if (merged < 0) return;
      const float score = pieces_[static_cast<std::size_t>(merged)].score;
      if (score > lowest) merges.push({score, left, node.next, node.token, right, merged});
    };
    for (std::size_t i = 0; i < nodes.size(); ++i) consider(static_cast<long>(i));
    while (!merges.empty()) {
      const Merge best = merges.top();
      merges.pop();
      Node& left = nodes[static_cast<std::size_t>(best.left)];
      Node& right = nodes[static_cast<std::size_t>(best.right)];
      if (left.token != best.left_token || left.next != best.right || right.token != best.right_token) continue;
      left.token = best.merged;
      left.next = right.next;
      right.token = -1;
      if (right.next != none) nodes[static_cast<std::size_t>(right.next)].previous = best.left;
      consider(left.previous);
      consider(best.left);
    }
  }

  std::string source_;
  std::vector<char> bytes_;  ///< the whole file
  std::vector<Piece> pieces_;
  std::vector<Token> by_text_;
};
