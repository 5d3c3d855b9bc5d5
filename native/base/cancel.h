// A flag that one thread raises and others poll or listen to.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace cosmos {

// Shared between the JavaScript thread, which cancels, and the worker, which polls `cancelled()` at
// every packet, or, where it is blocked in a call that it cannot poll from, sets a listener.
class CancelToken {
 public:
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  // Idempotent. The listener, if any, runs on the calling thread.
  void Cancel() {
    const std::lock_guard lock(mutex_);
    if (cancelled_.exchange(true, std::memory_order_acq_rel)) return;
    if (listener_) listener_();
  }

  // While this object lives, Cancel() calls `listener` (at once, if it was cancelled before).
  // After its destructor returns the listener is not running and will not run.
  class Listener {
   public:
    Listener(CancelToken& token, std::function<void()> listener) : token_(token) {
      const std::lock_guard lock(token_.mutex_);
      if (token_.cancelled()) {
        listener();
      } else {
        token_.listener_ = std::move(listener);
      }
    }
    ~Listener() {
      const std::lock_guard lock(token_.mutex_);
      token_.listener_ = nullptr;
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

   private:
    CancelToken& token_;
  };

 private:
  std::atomic<bool> cancelled_ = false;
  std::mutex mutex_;
  std::function<void()> listener_;
};

using CancelTokenPtr = std::shared_ptr<CancelToken>;

}  // namespace cosmos
