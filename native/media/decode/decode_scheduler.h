// Decides on which path each clip decodes and when: the hardware takes a fixed number of clips at a time, in
// the order of arrival.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "media/decode/decode_router.h"
#include "media/limits/job_guard.h"

namespace cosmos {

// Thread-safe. Must outlive its turns.
class DecodeTurns {
 public:
  virtual ~DecodeTurns() = default;

  // Holds a slot of the hardware or of the CPU and frees it on destruction.
  class Turn {
   public:
    Turn() = default;
    Turn(Turn&& other) noexcept { swap(other); }
    Turn& operator=(Turn&& other) noexcept {
      swap(other);
      return *this;
    }
    ~Turn() {
      if (scheduler_) scheduler_->End(path_, seconds_);
    }

    DecodePath path() const { return path_; }
    // Whether all slots of the hardware were taken when the path was chosen.
    bool hardware_was_busy() const { return hardware_was_busy_; }

   private:
    friend class DecodeTurns;
    void swap(Turn& other) noexcept {
      std::swap(scheduler_, other.scheduler_);
      std::swap(path_, other.path_);
      std::swap(seconds_, other.seconds_);
      std::swap(hardware_was_busy_, other.hardware_was_busy_);
    }

    DecodeTurns* scheduler_ = nullptr;
    DecodePath path_ = DecodePath::kSoftware;
    double seconds_ = 0;
    bool hardware_was_busy_ = false;
  };

  // Takes a slot on `path`, or on the path that is estimated to finish first. Waits for a slot of the
  // hardware, never for one of the CPU. Returns the guard's error when that fails while waiting; the wait
  // does not count against the guard's time limit.
  virtual Result<Turn> Begin(const DecodeWork& work, std::optional<DecodePath> path, JobGuard& guard) = 0;
  // Takes up to `max` free slots of the hardware; none while a clip waits for one.
  virtual std::vector<Turn> TakeFree(int max) = 0;
  // Reports how long some work took, for later estimates.
  virtual void Learn(DecodePath path, const DecodeWork& work, double seconds) = 0;

  // Clips on the hardware.
  virtual int running() const = 0;
  virtual int waiting() const = 0;

 protected:
  Turn MakeTurn(DecodePath path, bool hardware_was_busy, double seconds) {
    Turn turn;
    turn.scheduler_ = this;
    turn.path_ = path;
    turn.hardware_was_busy_ = hardware_was_busy;
    turn.seconds_ = seconds;
    return turn;
  }
  // `seconds` are those of MakeTurn.
  virtual void End(DecodePath path, double seconds) = 0;
};

class DecodeScheduler final : public DecodeTurns {
 public:
  DecodeScheduler(int hardware_slots, int cpu_slots, DecodeSpeed hardware_speed)
      : hardware_slots_(hardware_slots), cpu_slots_(cpu_slots), router_(hardware_speed) {}

  Result<Turn> Begin(const DecodeWork& work, std::optional<DecodePath> path, JobGuard& guard) override;
  std::vector<Turn> TakeFree(int max) override;
  void Learn(DecodePath path, const DecodeWork& work, double seconds) override;
  int running() const override;
  int waiting() const override;

 private:
  void End(DecodePath path, double seconds) override;

  const int hardware_slots_;
  const int cpu_slots_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  DecodeRouter router_;
  std::deque<std::uint64_t> waiting_;  // tickets, in the order of arrival
  std::uint64_t next_ticket_ = 0;
  int running_ = 0;
  int on_cpu_ = 0;
  double seconds_ = 0;  // estimated for the clips that run on the hardware or wait for it
};

}  // namespace cosmos
