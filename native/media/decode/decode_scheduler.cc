#include "media/decode/decode_scheduler.h"

#include <algorithm>
#include <chrono>

namespace cosmos {

Result<DecodeScheduler::Turn> DecodeScheduler::Begin(const DecodeWork& work, std::optional<DecodePath> path,
                                                     JobGuard& guard) {
  // Cancellation does not signal the condition variable, so the guard is polled.
  constexpr std::chrono::milliseconds kPollInterval{5};
  const JobGuard::Pause pause(guard);
  std::unique_lock lock(mutex_);
  const DecodeLoad load{.hardware_slots = hardware_slots_,
                        .hardware_clips = running_ + static_cast<int>(waiting_.size()),
                        .hardware_seconds = seconds_,
                        .cpu_slots = cpu_slots_,
                        .cpu_clips = on_cpu_};
  const DecodePath chosen = path ? *path : router_.Choose(work, load);
  const bool busy = load.hardware_clips >= load.hardware_slots;
  if (chosen == DecodePath::kSoftware) {
    ++on_cpu_;
    return MakeTurn(chosen, busy, 0);
  }
  const double seconds = work.setup_seconds + router_.Seconds(DecodePath::kHardware, work);
  seconds_ += seconds;
  const std::uint64_t ticket = next_ticket_++;
  waiting_.push_back(ticket);
  const auto my_turn = [&] { return running_ < hardware_slots_ && waiting_.front() == ticket; };
  while (!wake_.wait_for(lock, kPollInterval, my_turn)) {
    Status status = guard.Check();
    if (status.ok()) continue;
    std::erase(waiting_, ticket);
    seconds_ -= seconds;
    wake_.notify_all();
    return status;
  }
  waiting_.pop_front();
  ++running_;
  wake_.notify_all();
  return MakeTurn(chosen, busy, seconds);
}

std::vector<DecodeScheduler::Turn> DecodeScheduler::TakeFree(int max) {
  const std::lock_guard lock(mutex_);
  std::vector<Turn> turns;
  if (!waiting_.empty()) return turns;
  for (; max > 0 && running_ < hardware_slots_; --max) {
    ++running_;
    turns.push_back(MakeTurn(DecodePath::kHardware, false, 0));
  }
  return turns;
}

void DecodeScheduler::End(DecodePath path, double seconds) {
  const std::lock_guard lock(mutex_);
  if (path == DecodePath::kSoftware) {
    --on_cpu_;
    return;
  }
  --running_;
  seconds_ = std::max(seconds_ - seconds, 0.0);
  wake_.notify_all();
}

void DecodeScheduler::Learn(DecodePath path, const DecodeWork& work, double seconds) {
  const std::lock_guard lock(mutex_);
  router_.Learn(path, work, seconds);
}

int DecodeScheduler::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

int DecodeScheduler::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(waiting_.size());
}

}  // namespace cosmos
