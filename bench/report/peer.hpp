#pragma once
// SPDX-License-Identifier: MIT

#include <report/entry.hpp>

#include <sys/types.h>

#include <string>
#include <vector>

namespace bench {

/// Another library, asked by way of a program that runs beside us and sleeps while it is not asked, so that Google
/// Benchmark can take turns between it and us. It reads lines of words parted by tabs and answers each with one:
///   (when it starts)                                            ready <version>  |  absent <why>
///   knows <work>                                                yes  |  no
///   run <work> <threads> <iterations> <dimensions>...           done <seconds> <error>  |  failed <why>
/// With no iterations it only makes its inputs and looks at its answer. The drivers lie in bench/peers/.
class Peer {
 public:
  /// Starts the program. Where that fails `version` is empty and `absence` says why.
  Peer(std::string by, const std::vector<std::string>& command);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const std::string& by() const { return by_; }
  const std::string& version() const { return version_; }
  const std::string& absence() const { return absence_; }

  bool knows(const Work& work);
  struct Answer {
    double seconds;
    double error;
  };
  /// Throws std::runtime_error if the peer fails, with what it says.
  Answer run(const Work& work, int threads, std::int64_t iterations);

 private:
  std::vector<std::string> ask(const std::string& line);
  std::string read_line();

  std::string by_;
  std::string version_;
  std::string absence_;
  pid_t process_ = -1;
  int to_ = -1;
  int from_ = -1;
  std::string buffer_;
};

}  // namespace bench
