// Finds the pictures that are shown at the head of a stream that was cut out of a longer one.
#pragma once

#include <vector>

#include "base/status.h"
#include "media/clip_types.h"
#include "media/demux/demuxer.h"
#include "media/plan/frame_index.h"

namespace cosmos {

// Such a stream begins with pictures that refer to what was cut off. Which of them are shown depends on rules
// of the codec and of libavcodec, so libavcodec decodes them with the ffmpeg command's settings. The first
// `uncertain` packets are in doubt. Returns for each packet of the head whether a picture came out; the head
// may be longer than the index. The demuxer's position is unspecified afterwards.
Result<std::vector<bool>> FindShownInHead(Demuxer& demuxer, const FrameIndex& index, int uncertain,
                                          const DecodeLimits& limits);

}  // namespace cosmos
