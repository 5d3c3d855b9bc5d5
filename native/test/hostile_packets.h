// Builds packets of a few bytes that keep a decoder busy for hours, and containers for them.
#pragma once

#include <vector>

#include "hostile_files.h"

namespace cosmos::test {

// NAL units of H.264 without start codes, for pictures of the given size in macroblocks.
Bytes H264Sps(int width, int height);
Bytes H264Pps();
// The parameter sets in avcC form, for MP4 and Matroska.
Bytes H264Configuration(const Bytes& sps);
// A picture that every decoder gives up on early.
Bytes H264DamagedIntra();
// A grey picture of seven bits per macroblock.
Bytes H264Intra(int width, int height);
// A slice of skipped macroblocks from `first` to the end of the picture: a few bytes, however large the
// picture is. `reference`: others may be predicted from it.
Bytes H264Skip(int width, int height, int first, bool reference);
// `count` such slices, each of which covers all but the first macroblocks.
std::vector<Bytes> H264Skips(int width, int height, int count, bool reference);

// Packets for a decoder: with start codes or with length fields.
Bytes WithStartCodes(const std::vector<Bytes>& units);
Bytes WithLengths(const std::vector<Bytes>& units);

// A Matroska file of one H.264 stream with this `sps`, declared as 64 x 64 pixels.
Bytes H264Matroska(const Bytes& sps, const std::vector<Bytes>& packets);
// A file whose streams are known only from its packets. `units` is one picture, repeated twenty times.
Bytes H264ProgramStream(const std::vector<Bytes>& units);
Bytes H264Flv(const Bytes& sps, const std::vector<Bytes>& units);

// An Ogg file of one stream, with one page per 255 lacing values.
Bytes OggFile(const std::vector<Bytes>& packets);

}  // namespace cosmos::test
