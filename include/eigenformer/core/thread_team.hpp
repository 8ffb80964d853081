#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>

#include <unsupported/Eigen/CXX11/ThreadPool>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

inline void spin_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace detail

/// A few threads that share loops: the caller and `threads - 1` threads of Eigen's pool. One loop at a time; the caller
/// takes part and returns when all is done. A helper that sleeps is woken but never waited for: what it does not claim,
/// the others do. Allocates nothing per loop. A template, so that a file that starts no threads does not compile Eigen's
/// pool.
template <class = void>
class BasicThreadTeam {
 public:
  /// Starts threads - 1 threads, which sleep until they are needed.
  explicit BasicThreadTeam(int threads) : threads_(threads) {
    if (threads > 1) pool_ = std::make_shared<Pool>(threads - 1);
  }

  int threads() const { return threads_; }

  /// Calls body(i, worker) once for every i in 0 .. count - 1, in any order, on up to `threads` workers numbered from
  /// 0. The body must not throw and must not use the team.
  template <class Body>
  void run(Index count, const Body& body) {
    if (threads_ == 1 || count < 2) {
      for (Index i = 0; i < count; ++i) body(i, Index(0));
      return;
    }
    count_ = count;
    body_ = &body;
    call_ = [](const void* opaque, Index i, Index worker) { (*static_cast<const Body*>(opaque))(i, worker); };
    next_.store(0, std::memory_order_relaxed);
    workers_.store(1, std::memory_order_relaxed);
    open_.store(true);
    wake((std::min)(static_cast<Index>(threads_), count) - 1);
    work(0);
    close();
  }

 private:
  /// What Eigen's pool needs to know of threads. Its own environment may allocate for every task; this one holds the
  /// function itself, which std::function keeps in place when it captures no more than a pointer.
  struct Environment {
    struct Task {
      std::function<void()> f;
    };
    class EnvThread {
     public:
      explicit EnvThread(std::function<void()> f) : thread_(std::move(f)) {}
      ~EnvThread() { thread_.join(); }
      EnvThread(const EnvThread&) = delete;
      EnvThread& operator=(const EnvThread&) = delete;
      void OnCancel() {}

     private:
      std::thread thread_;
    };

    EnvThread* CreateThread(std::function<void()> f) { return new EnvThread(std::move(f)); }
    Task CreateTask(std::function<void()> f) { return Task{std::move(f)}; }
    void ExecuteTask(const Task& task) { task.f(); }
  };
  using Pool = Eigen::ThreadPoolTempl<Environment>;

  void wake(Index helpers) {
    for (Index i = scheduled_.load(std::memory_order_relaxed); i < helpers; ++i) {
      scheduled_.fetch_add(1, std::memory_order_relaxed);
      static_cast<Pool*>(pool_.get())->Schedule([this] { help(); });
    }
  }

  void work(Index worker) {
    for (Index i = next_.fetch_add(1, std::memory_order_relaxed); i < count_;
         i = next_.fetch_add(1, std::memory_order_relaxed)) {
      call_(body_, i, worker);
    }
  }

  /// A helper that wakes after its loop was closed leaves, or helps with the next one. It first says that it is inside
  /// and then looks whether the loop is open, while the caller first closes and then looks who is inside: whichever
  /// comes first in the single order of these operations, no helper reads a loop that the caller is about to replace.
  void help() {
    scheduled_.fetch_sub(1, std::memory_order_relaxed);
    inside_.fetch_add(1);
    if (open_.load()) {
      const Index worker = workers_.fetch_add(1, std::memory_order_relaxed);
      if (worker < threads_) work(worker);
    }
    inside_.fetch_sub(1);
  }

  /// Those inside are busy with at most one body each, so this spins, and gives the processor away if it takes long.
  void close() {
    open_.store(false);
    for (int spins = 0; inside_.load() != 0; ++spins) {
      if (spins < 2000) {
        detail::spin_pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

  int threads_;
  Index count_ = 0;
  const void* body_ = nullptr;
  void (*call_)(const void*, Index, Index) = nullptr;
  std::atomic<Index> next_{0};
  std::atomic<Index> workers_{0};
  std::atomic<Index> scheduled_{0};
  std::atomic<Index> inside_{0};
  std::atomic<bool> open_{false};
  std::shared_ptr<void> pool_;  // last: its threads use the members above until it is gone
};

/// The one BasicThreadTeam, which is a template so that only who uses it compiles it.
using ThreadTeam = BasicThreadTeam<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
