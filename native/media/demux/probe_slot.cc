#include "media/demux/probe_slot.h"

#include <chrono>
#include <semaphore>

namespace cosmos {
namespace {

std::counting_semaphore<ProbeSlot::kCount>& Slots() {
  static std::counting_semaphore<ProbeSlot::kCount> slots(ProbeSlot::kCount);
  return slots;
}

}  // namespace

Result<ProbeSlot> ProbeSlot::Take(const JobGuard& guard) {
  // Cancellation does not signal the semaphore, so the guard is polled.
  constexpr std::chrono::milliseconds kPollInterval{5};
  const JobGuard::Pause pause(guard);
  do {
    COSMOS_RETURN_IF_ERROR(guard.Check());
  } while (!Slots().try_acquire_for(kPollInterval));
  return ProbeSlot();
}

ProbeSlot::~ProbeSlot() {
  if (held_) Slots().release();
}

}  // namespace cosmos
