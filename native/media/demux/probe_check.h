// What FFmpeg would decode to find out what a container's streams are.
#pragma once

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"
#include "media/clip_types.h"
#include "media/limits/job_guard.h"

namespace cosmos {

// Whether probing may decode packets that can cost far more than their bytes.
bool MustCheckProbed(const AVFormatContext& format);

// avformat_find_stream_info decodes the first packets with decoders of its own, which cannot be reached, so
// nothing stops them inside of a packet, and those of streams that appear only then are under no limit. So
// those packets are read before, and refused where they hold too many slices or too large pictures. Moves
// `format`, which is opened anew to be probed.
Status CheckProbed(AVFormatContext& format, const DecodeLimits& limits, const JobGuard& guard);

}  // namespace cosmos
