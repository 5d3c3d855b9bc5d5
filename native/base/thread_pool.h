// A pool of threads, started on demand, that runs jobs in the order of submission.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cosmos {

// Decoding runs here and never in libuv's pool, which Node shares with fs, dns and zlib: four long decodes
// there would block every file read of the process.
class ThreadPool {
 public:
  // Starts a thread when a job is submitted and all others are busy, up to `max_threads` >= 1. Threads live
  // as long as the pool.
  explicit ThreadPool(int max_threads) : max_threads_(max_threads) {}
  // Runs all submitted jobs to completion, then joins. Cancel the jobs first to make this quick.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Callable from any thread, including from a job. Once the destructor has begun, only jobs may call it.
  // Throws std::system_error when there is no thread at all and none can be started; the job is dropped then.
  void Submit(std::function<void()> job);

  // Threads started so far.
  int size() const;
  // Threads that wait for a job.
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
