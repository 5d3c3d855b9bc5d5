// Whose turn it is in NVDEC: two clips for each of its engines at a time; more would only wait inside the
// driver.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "media/limits/job_guard.h"
#include "media/nvdec/decode_router.h"

namespace cosmos {

// Thread-safe. Outlives its turns.
class NvdecScheduler {
 public:
  NvdecScheduler(int nvdec_slots, int cpu_slots) : nvdec_slots_(nvdec_slots), cpu_slots_(cpu_slots) {}

  // A place in NVDEC or on the CPU, until it ends.
  class Turn {
   public:
    Turn() = default;
    Turn(Turn&& other) noexcept { swap(other); }
    Turn& operator=(Turn&& other) noexcept {
      swap(other);
      return *this;
    }
    ~Turn() {
      if (scheduler_) scheduler_->End(*this);
    }

    DecodePath path() const { return path_; }
    // NVDEC had its hands full when the CPU was chosen.
    bool nvdec_was_busy() const { return nvdec_was_busy_; }

   private:
    friend class NvdecScheduler;
    void swap(Turn& other) noexcept {
      std::swap(scheduler_, other.scheduler_);
      std::swap(path_, other.path_);
      std::swap(seconds_, other.seconds_);
      std::swap(nvdec_was_busy_, other.nvdec_was_busy_);
    }

    NvdecScheduler* scheduler_ = nullptr;
    DecodePath path_ = DecodePath::kSoftware;
    double seconds_ = 0;
    bool nvdec_was_busy_ = false;
  };

  // Chooses a path unless there is one to keep to, and waits until NVDEC has a free place, in the order of
  // asking. The CPU is never waited for. Fails when the guard says so. The wait does not count against the
  // guard's limit.
  Result<Turn> Begin(const DecodeWork& work, std::optional<DecodePath> path, JobGuard& guard);
  // Places in NVDEC that are free while nobody waits for one, at most `most`; none is waited for.
  std::vector<Turn> TakeFree(int most);
  // What some work took on its path.
  void Learn(DecodePath path, const DecodeWork& work, double seconds);

  int running() const;
  int waiting() const;

 private:
  void End(const Turn& turn);

  const int nvdec_slots_;
  const int cpu_slots_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  DecodeRouter router_;
  std::deque<std::uint64_t> waiting_;  // tickets
  std::uint64_t next_ticket_ = 0;
  int running_ = 0;
  int on_cpu_ = 0;
  double seconds_ = 0;  // estimated, of those that run or wait
};

}  // namespace cosmos
