// SPDX-License-Identifier: MIT

#include <report/peer.hpp>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace bench {

namespace {

/// The words of a line, parted by tabs.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words(1);
  for (const char letter : line) {
    if (letter == '\t') {
      words.emplace_back();
    } else {
      words.back() += letter;
    }
  }
  return words;
}

/// In the new process: standard input and output are the pipes'.
[[noreturn]] void become(const std::vector<std::string>& command, int input, int output) {
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::setenv("OMP_WAIT_POLICY", "passive", 1);  // waiting threads must leave the processor to us
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

}  // namespace

Peer::Peer(std::string by, const std::vector<std::string>& command) : by_(std::move(by)) {
  std::array<int, 2> questions{};
  std::array<int, 2> answers{};
  // Closed in every program that is started: a peer must see the end of its questions though another peer still runs.
  if (command.empty() || ::pipe2(questions.data(), O_CLOEXEC) != 0 || ::pipe2(answers.data(), O_CLOEXEC) != 0) {
    absence_ = "no program to ask";
    return;
  }
  std::signal(SIGPIPE, SIG_IGN);  // a peer that has ended is noticed when it is read from
  process_ = ::fork();
  if (process_ == 0) become(command, questions[0], answers[1]);
  ::close(questions[0]);
  ::close(answers[1]);
  to_ = questions[1];
  from_ = answers[0];
  try {
    const std::vector<std::string> words = words_of(read_line());
    const std::string rest = words.size() > 1 ? words[1] : std::string();
    (words[0] == "ready" ? version_ : absence_) = rest.empty() ? "unknown" : rest;
  } catch (const std::exception&) {
    absence_ = command[0] + " did not start";
  }
}

Peer::~Peer() {
  if (to_ >= 0) ::close(to_);  // at the end of its input it ends
  if (from_ >= 0) ::close(from_);
  if (process_ > 0) ::waitpid(process_, nullptr, 0);
}

bool Peer::knows(const Work& work) {
  return !version_.empty() && work.type == "float" && ask("knows\t" + work.name)[0] == "yes";
}

Peer::Answer Peer::run(const Work& work, int threads, std::int64_t iterations) {
  std::string line = "run\t" + work.name + "\t" + std::to_string(threads) + "\t" + std::to_string(iterations);
  for (const Index dimension : work.dimensions) line += "\t" + std::to_string(dimension);
  const std::vector<std::string> words = ask(line);
  if (words[0] != "done" || words.size() != 3) {
    throw std::runtime_error(by_ + ": " + (words.size() > 1 ? words[1] : words[0]));
  }
  return {std::stod(words[1]), std::stod(words[2])};
}

std::vector<std::string> Peer::ask(const std::string& line) {
  const std::string text = line + "\n";
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = ::write(to_, text.data() + written, text.size() - written);
    if (count <= 0) throw std::runtime_error(by_ + " has ended");
    written += static_cast<std::size_t>(count);
  }
  return words_of(read_line());
}

std::string Peer::read_line() {
  std::size_t end = buffer_.find('\n');
  while (end == std::string::npos) {
    std::array<char, 4096> bytes{};
    const ssize_t count = ::read(from_, bytes.data(), bytes.size());
    if (count <= 0) throw std::runtime_error(by_ + " has ended");
    buffer_.append(bytes.data(), static_cast<std::size_t>(count));
    end = buffer_.find('\n');
  }
  const std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return line;
}

}  // namespace bench
