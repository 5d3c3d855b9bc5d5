// Which pictures are shown of a stream that begins in the middle of something.
#pragma once

#include <vector>

#include "base/status.h"
#include "media/clip_types.h"
#include "media/demux/demuxer.h"
#include "media/plan/frame_index.h"

namespace cosmos {

// A recording that was cut out of a longer one begins with pictures that lean on what was cut off. Some of
// them are shown and some are not, by rules of each codec's and of libavcodec's: so libavcodec decodes them,
// as the ffmpeg command has it do. For the first packets, of which the first `uncertain` are in doubt:
// whether a picture came of each; they may be more than the index has. Leaves the demuxer anywhere.
Result<std::vector<bool>> ShownOfHead(Demuxer& demuxer, const FrameIndex& index, int uncertain,
                                      const DecodeLimits& limits);

}  // namespace cosmos
