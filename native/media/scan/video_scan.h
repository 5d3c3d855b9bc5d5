// Builds the FrameIndex of a stream and reads no more of it than necessary.
#pragma once

#include <optional>

#include "base/status.h"
#include "media/bitstream/parameter_sets.h"
#include "media/clip_types.h"
#include "media/demux/demuxer.h"
#include "media/plan/frame_index.h"

namespace cosmos {

struct VideoScan {
  FrameIndex index;
  ParameterSets parameter_sets;
  double tick = 0;           // seconds per unit of the index's times
  std::int64_t origin = 0;   // the time of the video's first displayed frame, which is second 0
  double frame_seconds = 0;  // the duration of the last frame

  double Seconds(std::int64_t time) const { return static_cast<double>(time - origin) * tick; }
  // The end of the last frame of the index.
  double EndSeconds() const { return Seconds(index.time(index.frame_count() - 1)) + frame_seconds; }
  // A duration in units of the index's times, rounded towards 0 and bounded.
  std::int64_t Ticks(double seconds) const;
  // The first time at or after `seconds`.
  std::int64_t TimeAt(double seconds) const;
};

// Indexes at least [start, end) seconds; without `end`, to the end of the video.
Result<VideoScan> ScanVideo(Demuxer& demuxer, double start, std::optional<double> end,
                            const DecodeLimits& limits);

}  // namespace cosmos
