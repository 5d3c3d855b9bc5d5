// Which frames make up which clip. Pure functions.
#pragma once

#include <optional>
#include <vector>

#include "base/status.h"
#include "media/clip_types.h"
#include "media/scan/video_scan.h"

namespace cosmos {

struct ClipWindow {
  double start = 0;  // seconds
  double end = 0;
  int first_rank = 0;  // of the frames shown within it
  int frame_count = 0;
  std::vector<int> ranks;  // one for every frame of the clip, ascending; of the first of several alike
  bool repeats = false;    // the same frames as the window before it: a gap shows one picture for long
};

// kInvalidArgument when a value of the request makes no sense.
Status CheckRequest(const ClipRequest& request, const std::optional<Windows>& windows = {});

// One window over the request's range, or those that `windows` asks for. At least one; fails with
// kInvalidArgument for values that make no sense and with kMedia when the range begins after the video's end
// or the frame rule finds no frames.
Result<std::vector<ClipWindow>> PlanWindows(const VideoScan& scan, const ClipRequest& request,
                                            const std::optional<Windows>& windows);

}  // namespace cosmos
