// Decodes a clip's runs with several hardware decoders at a time. The runs of a plan are independent of each
// other, and a clip that is alone would use only one of the engines.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/status.h"
#include "media/clip_types.h"
#include "media/decode/hardware_decoder.h"
#include "media/decode/picture_stream.h"
#include "media/demux/demuxer.h"
#include "media/limits/job_guard.h"
#include "media/plan/decode_plan.h"
#include "media/scan/video_scan.h"

namespace cosmos {

// The inputs of a parallel decode. All must outlive the call.
struct ParallelDecode {
  const MediaSource& media;  // opened again for each part but the first
  const VideoScan& scan;
  const DecodePlan& plan;
  const DecodeLimits& limits;
  const JobGuard& guard;
  DecoderBackend& backend;
};

struct ParallelResult {
  std::vector<WantedPicture> pictures;  // all that the plan wants, in presentation order
  DecodeCounts counts;
  int seeks = 0;
  std::int64_t bytes_read = 0;  // by the parts that opened the source again
};

// Splits the plan into up to `count` parts, each decoded on a thread of its own; the first uses `demuxer` and
// `decoder`. Returns nothing when any picture was damaged or missing, or a part failed: then the caller
// decodes the runs one after the other, which handles damage. Fails with the errors that end a clip:
// cancelled, timed out, device lost.
Result<std::optional<ParallelResult>> DecodeInParallel(const ParallelDecode& job, int count, Demuxer& demuxer,
                                                       HardwareDecoder& decoder);

}  // namespace cosmos
