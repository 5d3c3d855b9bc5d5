// Wakes the executor's thread: a job arrived, or a device reached the end of a run.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace cosmos {

// An event that resets itself: Set is remembered until one Wait has returned. Thread-safe.
class Wake {
 public:
  void Set() {
    {
      const std::lock_guard lock(mutex_);
      set_ = true;
    }
    condition_.notify_one();
  }

  void Wait() {
    std::unique_lock lock(mutex_);
    condition_.wait(lock, [this] { return set_; });
    set_ = false;
  }

  // Returns after `longest` at the latest.
  void WaitFor(std::chrono::milliseconds longest) {
    std::unique_lock lock(mutex_);
    condition_.wait_for(lock, longest, [this] { return set_; });
    set_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool set_ = false;
};

}  // namespace cosmos
