// Checks the packets that FFmpeg decodes to identify the streams of a container.
#pragma once

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"
#include "media/clip_types.h"
#include "media/limits/job_guard.h"

namespace cosmos {

// Whether probing may decode packets whose cost far exceeds their size.
bool NeedsProbeCheck(const AVFormatContext& format);

// The most pixels that a declared stream may have while `format` is probed, so that the pictures of all
// streams together stay within the limit on memory.
std::int64_t MaxProbedPixels(const AVFormatContext& format, const DecodeLimits& limits);

// avformat_find_stream_info decodes the first packets with its own decoders, which cannot be stopped within a
// packet, applies no limits to streams that appear late, and allocates pictures that nothing meters unless
// FFmpeg is the package's own. So this reads those packets beforehand and refuses too many slices, too large
// pictures, and pictures that together need too much memory. It consumes packets of `format`, which must be
// reopened to be probed.
Status CheckProbedPackets(AVFormatContext& format, const DecodeLimits& limits, const JobGuard& guard);

}  // namespace cosmos
