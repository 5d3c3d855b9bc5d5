// A fixed number of threads that take jobs in the order they were given.
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
  // `threads` >= 1.
  explicit ThreadPool(int threads);
  // Runs what was submitted to its end, then joins. Cancel the jobs first to make that quick.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // From any thread, also from a job. Not once the destructor has begun, other than from a job.
  void Submit(std::function<void()> job);

  int size() const { return static_cast<int>(threads_.size()); }

 private:
  void Work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace cosmos
