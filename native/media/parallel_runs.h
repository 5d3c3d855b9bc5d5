// A clip's runs decoded by several of NVDEC's engines at a time. The runs of a plan do not depend on each
// other, and a clip that is alone would keep one engine busy while the others idle.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/status.h"
#include "media/clip_types.h"
#include "media/decode/picture_stream.h"
#include "media/demux/demuxer.h"
#include "media/limits/job_guard.h"
#include "media/nvdec/nvdec_decoder.h"
#include "media/plan/decode_plan.h"
#include "media/scan/video_scan.h"

namespace cosmos {

// What the lanes share. All must outlive the call.
struct ParallelDecode {
  const MediaSource& media;  // opened anew for each lane but the first
  const VideoScan& scan;
  const DecodePlan& plan;
  const DecodeLimits& limits;
  const JobGuard& guard;
  Nvdec& nvdec;
};

struct ParallelResult {
  std::vector<WantedPicture> pictures;  // all that the plan wants, in presentation order
  DecodeCounts counts;
  int seeks = 0;
  std::int64_t bytes_read = 0;  // by the lanes that opened the source anew
};

// Decodes the whole plan in `lanes` lanes, the first of which is `demuxer` and `decoder`. Nothing when
// anything was not as it should be: then the caller decodes the runs one after the other, which knows what to
// do about damage. Errors are those that end a clip: cancelled, out of time, device lost.
Result<std::optional<ParallelResult>> DecodeInParallel(const ParallelDecode& job, int lanes, Demuxer& demuxer,
                                                       NvdecDecoder& decoder);

}  // namespace cosmos
