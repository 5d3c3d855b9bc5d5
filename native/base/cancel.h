// Cancellation: one thread requests it, others poll for it or register a listener.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace cosmos {

// The JavaScript thread cancels. A worker polls `cancelled()` at every packet, or registers a listener where
// it is blocked in a call that it cannot poll from.
class CancelToken {
 public:
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  // Idempotent. Runs the listener, if any, on the calling thread.
  void Cancel() {
    const std::lock_guard lock(mutex_);
    if (cancelled_.exchange(true, std::memory_order_acq_rel)) return;
    if (listener_) listener_();
  }

  // Registers `listener` for as long as this object lives; a token has at most one. Calls it at once if the
  // token is already cancelled. After the destructor returns, the listener is not running and never will.
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
