// Joins the caller's cancellation with the job's limits on time and memory. Polled at every packet and every
// read.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/cancel.h"
#include "base/status.h"
#include "media/limits/job_memory.h"

namespace cosmos {

// Bytes of a job's pictures in GPU memory. Pictures outlive their decoder, so they share it.
using DeviceFrameMeter = std::shared_ptr<std::atomic<std::int64_t>>;

// The clock runs only during calls: what a caller does between two clips is not the video's fault.
// Thread-safe, because a decoder's own threads poll it too, even between calls.
class JobGuard {
 public:
  JobGuard(double max_seconds, std::int64_t max_bytes) : max_seconds_(max_seconds), memory_(max_bytes) {}

  // Marks one call into the library: starts the clock, sets the caller's token and counts FFmpeg's
  // allocations.
  class Call {
   public:
    Call(JobGuard& guard, CancelTokenPtr cancel) : guard_(guard), counted_(guard.memory_) {
      const std::lock_guard lock(guard_.mutex_);
      guard_.cancel_ = std::move(cancel);
      guard_.began_ = Clock::now();
    }
    ~Call() {
      const std::lock_guard lock(guard_.mutex_);
      guard_.used_ = guard_.seconds();
      guard_.cancel_ = nullptr;
      guard_.began_.reset();
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    JobGuard& guard_;
    JobMemory::MeterScope counted_;
  };

  // Stops the clock while a call waits for other work rather than for the video.
  class Pause {
   public:
    explicit Pause(const JobGuard& guard) : guard_(guard) {
      const std::lock_guard lock(guard_.mutex_);
      if (!guard_.began_) return;
      guard_.used_ = guard_.seconds();
      guard_.began_.reset();
      paused_ = true;
    }
    ~Pause() {
      const std::lock_guard lock(guard_.mutex_);
      if (paused_) guard_.began_ = Clock::now();
    }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    const JobGuard& guard_;
    bool paused_ = false;
  };

  // Restores the full time limit for the next clip.
  void Restart() {
    const std::lock_guard lock(mutex_);
    used_ = 0;
    if (began_) began_ = Clock::now();
  }

  const JobMemory& memory() const { return memory_; }
  const DeviceFrameMeter& device_frames() const { return device_frames_; }

  bool stopped() const {
    const std::lock_guard lock(mutex_);
    return cancelled() || seconds() > max_seconds_ || memory_.exceeded();
  }

  Status Check() const {
    const std::lock_guard lock(mutex_);
    if (cancelled()) return {StatusCode::kCancelled, "the decode was cancelled"};
    COSMOS_RETURN_IF_ERROR(memory_.Check());
    if (seconds() > max_seconds_) {
      return Status(StatusCode::kTimeout, "decoding took longer than the limit maxWallSeconds of " +
                                              std::to_string(max_seconds_) + " s")
          .With("limit", max_seconds_);
    }
    return {};
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool cancelled() const { return cancel_ && cancel_->cancelled(); }
  double seconds() const {
    return began_ ? used_ + std::chrono::duration<double>(Clock::now() - *began_).count() : used_;
  }

  const double max_seconds_;
  JobMemory memory_;
  const DeviceFrameMeter device_frames_ = std::make_shared<std::atomic<std::int64_t>>(0);
  // The clock changes for those, too, that are only bound by the guard.
  mutable std::mutex mutex_;
  mutable double used_ = 0;
  mutable std::optional<Clock::time_point> began_;
  CancelTokenPtr cancel_;
};

}  // namespace cosmos
