// What an mp4's tables say about its samples, and which of it is looked at before it is believed.
#pragma once

#include <vector>

#include "ffmpeg/ffmpeg.h"
#include "media/demux/source.h"

namespace cosmos {

// The bytes of samples that need not be read to index the stream, sorted and disjoint. All others are few:
// the beginnings of the first samples, whose order is compared with the bitstream's; of some samples that are
// keyframes right after a keyframe, which most often says that the muxer marks all; and samples so small that
// there may be no picture in them.
std::vector<ByteRange> RangesToSkip(const AVStream& stream);

}  // namespace cosmos
