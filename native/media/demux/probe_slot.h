// Bounds how many containers are probed at a time.
#pragma once

#include <utility>

#include "base/status.h"
#include "media/limits/job_guard.h"

namespace cosmos {

// The right to probe. Probing takes a lock inside FFmpeg: more probes at a time would only wait for each
// other, where nothing could stop them.
class ProbeSlot {
 public:
  static constexpr int kCount = 3;  // in the process

  // Waits for a free slot, with the guard's clock stopped: others take the time. Fails when the guard says
  // stop.
  static Result<ProbeSlot> Take(const JobGuard& guard);

  ProbeSlot(ProbeSlot&& other) noexcept : held_(std::exchange(other.held_, false)) {}
  ProbeSlot& operator=(ProbeSlot&&) = delete;
  ProbeSlot(const ProbeSlot&) = delete;
  ProbeSlot& operator=(const ProbeSlot&) = delete;
  ~ProbeSlot();

 private:
  ProbeSlot() = default;

  bool held_ = true;
};

}  // namespace cosmos
