// Checks the packets that FFmpeg decodes to identify the streams of a container.
#pragma once

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"
#include "media/clip_types.h"
#include "media/limits/job_guard.h"

namespace cosmos {

// Whether probing may decode packets whose cost far exceeds their size.
bool NeedsProbeCheck(const AVFormatContext& format);

// avformat_find_stream_info decodes the first packets with its own decoders, which cannot be stopped within a
// packet, and applies no limits to streams that appear late. So this reads those packets beforehand and
// refuses too many slices and too large pictures. It consumes packets of `format`, which must be reopened to
// be probed.
Status CheckProbedPackets(AVFormatContext& format, const DecodeLimits& limits, const JobGuard& guard);

}  // namespace cosmos
