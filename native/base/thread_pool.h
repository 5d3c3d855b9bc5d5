// Threads that take jobs in the order they were given, started as they are needed.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cosmos {

// Decodes run here and never in libuv's pool, which Node shares with fs, dns and zlib: four long decodes
// there would stop every file read of the process.
class ThreadPool {
 public:
  // At most `max_threads` >= 1. One is started when a job comes and all others are busy; none ends before the
  // pool does.
  explicit ThreadPool(int max_threads) : max_threads_(max_threads) {}
  // Runs what was submitted to its end, then joins. Cancel the jobs first to make that quick.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // From any thread, also from a job. Not once the destructor has begun, other than from a job.
  void Submit(std::function<void()> job);

  // How many threads there are by now.
  int size() const;
  // How many of them have nothing to do.
  int idle() const;

 private:
  void RunJobs();
  void Grow();

  const int max_threads_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  int idle_ = 0;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace cosmos
