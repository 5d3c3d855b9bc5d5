// What FFmpeg may allocate for one job, decoders' threads included.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "memory/job_meter.h"

namespace cosmos {

// FFmpeg's allocations are counted where FFmpeg was built to ask for it: in the package. Another FFmpeg,
// which the operating system brings, knows a limit for a single allocation only, and one for the whole
// process: there it is that of the job which may have most.
class JobMemory {
 public:
  // What a job needs whatever its video is, mostly for the contexts of a decoder's threads. It comes on top
  // of `max_bytes`.
  static constexpr std::int64_t kOverhead = std::int64_t{256} << 20;

  explicit JobMemory(std::int64_t max_bytes);
  ~JobMemory() { cosmos_meter_close(meter_); }
  JobMemory(const JobMemory&) = delete;
  JobMemory& operator=(const JobMemory&) = delete;

  // While it lives, what its thread allocates is counted, and what the threads that it starts do.
  class Counted {
   public:
    explicit Counted(const JobMemory& memory) : before_(cosmos_meter_enter(memory.meter_)) {}
    ~Counted() { cosmos_meter_enter(before_); }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

   private:
    cosmos_meter* before_;
  };

  // The job is to be stopped: FFmpeg gets nothing large any more.
  bool exceeded() const { return cosmos_meter_exceeded(meter_); }
  Status Check() const;

 private:
  std::int64_t max_bytes_;
  cosmos_meter* meter_;
};

}  // namespace cosmos
