// Checks a request and chooses the frames of each clip. Pure functions.
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
  int first_rank = 0;  // of the frames shown within the window
  int frame_count = 0;
  std::vector<int> ranks;  // one for every frame of the clip, ascending; empty when it repeats
  bool repeats = false;    // has the same frames as the window before, as in a gap that shows one frame
};

// Fails with kInvalidArgument when a value of the request is out of range.
Status CheckRequest(const ClipRequest& request, const std::optional<Windows>& windows = {});

// The request's range within the video, in seconds. Fails with kMedia when it begins after the video's end.
struct SecondsRange {
  double start = 0;
  double end = 0;
};
Result<SecondsRange> RangeOf(const VideoScan& scan, const ClipRequest& request);

// Chooses the frames of one window. Fails with kMedia when the frame rule finds no frames.
Result<ClipWindow> PlanWindow(const VideoScan& scan, SecondsRange range, const ClipRequest& request);

// Returns one window over the request's range, or the windows that `windows` describes, other than shots; at
// least one. Fails as RangeOf and PlanWindow do, and with kLimit when there are too many.
Result<std::vector<ClipWindow>> PlanWindows(const VideoScan& scan, const ClipRequest& request,
                                            const std::optional<Windows>& windows);

}  // namespace cosmos
