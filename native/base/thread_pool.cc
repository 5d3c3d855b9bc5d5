#include "base/thread_pool.h"

#include <system_error>
#include <utility>

namespace cosmos {

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Submit(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    try {
      Grow();
    } catch (...) {
      jobs_.pop_back();
      throw;
    }
  }
  wake_.notify_one();
}

// Starts a thread for the new job unless an idle one can take it. Starts none while closing: the existing
// threads drain the queue.
void ThreadPool::Grow() {
  if (closing_ || idle_ >= static_cast<int>(jobs_.size()) ||
      static_cast<int>(threads_.size()) >= max_threads_)
    return;
  try {
    threads_.emplace_back([this] { RunJobs(); });
  } catch (const std::system_error&) {
    if (threads_.empty()) throw;  // otherwise an existing thread runs the job later
  }
}

int ThreadPool::size() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(threads_.size());
}

int ThreadPool::idle() const {
  const std::lock_guard lock(mutex_);
  return idle_;
}

void ThreadPool::RunJobs() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      ++idle_;
      wake_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
      --idle_;
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace cosmos
