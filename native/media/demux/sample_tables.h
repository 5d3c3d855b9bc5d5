// Selects which samples of an mp4 are read to verify what its tables claim.
#pragma once

#include <vector>

#include "ffmpeg/ffmpeg.h"
#include "media/demux/demuxer.h"
#include "media/demux/source.h"

namespace cosmos {

// Whether the tables of an mp4 and a little of its data can be enough for an index. Not for VP8, whose
// packets alone say whether they are shown, nor where a parser needs all of the data.
bool TablesMaySuffice(const Demuxer& demuxer);

// The bytes of samples that need not be read to index the stream, sorted and disjoint. Everything else is
// little: the beginnings of the first samples, whose order is compared with the bitstream's; of some
// keyframes that directly follow a keyframe, which usually means that the muxer marks all samples; and
// samples so small that they may hold no picture.
std::vector<ByteRange> RangesToSkip(const AVStream& stream);

}  // namespace cosmos
