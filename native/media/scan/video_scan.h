// Builds the FrameIndex of a stream, reading no more of it than that takes.
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
  std::int64_t origin = 0;   // the time of the first displayed frame of the video: second 0
  double frame_seconds = 0;  // how long the last frame is shown

  double Seconds(std::int64_t time) const { return static_cast<double>(time - origin) * tick; }
  // When the last frame of the index ends.
  double EndSeconds() const { return Seconds(index.time(index.frame_count() - 1)) + frame_seconds; }
  // How many units of the index's times a duration has, rounded towards 0 and bounded.
  std::int64_t Ticks(double seconds) const;
  // The first time that is not before `seconds`.
  std::int64_t TimeAt(double seconds) const;
};

// At least [start, end) seconds is indexed; no `end` means to the end.
Result<VideoScan> ScanVideo(Demuxer& demuxer, double start, std::optional<double> end,
                            const DecodeLimits& limits);

}  // namespace cosmos
