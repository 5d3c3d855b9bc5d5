// Limits what FFmpeg allocates for one job, including by its decoders' threads.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "memory/job_meter.h"

namespace cosmos {

// Counts allocations only in the bundled FFmpeg, which is built to report them. A system's FFmpeg only knows
// a process-wide limit on single allocations; it is set to the largest limit of any job so far.
class JobMemory {
 public:
  // What any job needs regardless of its video, mostly for the contexts of a decoder's threads. Added to
  // `max_bytes`.
  static constexpr std::int64_t kOverhead = std::int64_t{256} << 20;

  explicit JobMemory(std::int64_t max_bytes);
  ~JobMemory() { cosmos_meter_close(meter_); }
  JobMemory(const JobMemory&) = delete;
  JobMemory& operator=(const JobMemory&) = delete;

  // While alive, counts what its thread and the threads it starts allocate.
  class MeterScope {
   public:
    explicit MeterScope(const JobMemory& memory) : before_(cosmos_meter_enter(memory.meter_)) {}
    ~MeterScope() { cosmos_meter_enter(before_); }
    MeterScope(const MeterScope&) = delete;
    MeterScope& operator=(const MeterScope&) = delete;

   private:
    cosmos_meter* before_;
  };

  // Whether the job exceeded its limit and must stop. From then on FFmpeg gets no large blocks.
  bool exceeded() const { return cosmos_meter_exceeded(meter_); }
  Status Check() const;

 private:
  std::int64_t max_bytes_;
  cosmos_meter* meter_;
};

}  // namespace cosmos
