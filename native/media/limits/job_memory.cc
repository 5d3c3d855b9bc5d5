#include "media/limits/job_memory.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <new>
#include <string>

#include "ffmpeg/ffmpeg.h"

namespace cosmos {
namespace {

// FFmpeg's default limit on a single allocation is INT_MAX, so it is never raised above that.
constexpr std::int64_t kMaxAtOnce = std::numeric_limits<int>::max();

void LimitSingleAllocations(std::int64_t bytes) {
  static std::mutex mutex;
  static std::int64_t most = 0;
  const std::lock_guard lock(mutex);
  if (bytes <= most) return;
  most = bytes;
  av_max_alloc(static_cast<std::size_t>(std::min(most, kMaxAtOnce)));
}

}  // namespace

JobMemory::JobMemory(std::int64_t max_bytes) : max_bytes_(max_bytes) {
  const std::int64_t most =
      std::min(max_bytes, std::numeric_limits<std::int64_t>::max() - kOverhead) + kOverhead;
  LimitSingleAllocations(most);
  meter_ = cosmos_meter_open(static_cast<std::size_t>(most));
  if (!meter_) throw std::bad_alloc();
}

Status JobMemory::Check() const {
  if (!exceeded()) return {};
  return Status(StatusCode::kLimit, "decoding needs more memory than the limit maxBytes of " +
                                        std::to_string(max_bytes_) + " bytes")
      .With("limit", static_cast<double>(max_bytes_));
}

}  // namespace cosmos
