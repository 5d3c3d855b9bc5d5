// Packets of a few bytes that make a decoder work for hours, and containers to send them in.
#pragma once

#include <vector>

#include "hostile_files.h"

namespace cosmos::test {

// NAL units of H.264, without start codes: pictures of so many macroblocks in each direction.
Bytes H264Sps(int width, int height);
Bytes H264Pps();
// The parameter sets as MP4 and Matroska have them.
Bytes H264Configuration(const Bytes& sps);
// A picture that no decoder gets far in.
Bytes H264DamagedIntra();
// A grey picture: seven bits a macroblock.
Bytes H264Intra(int width, int height);
// A slice in which nothing changes, from macroblock `first` to the picture's end: some bytes, however large
// the picture is. `reference`: what others may be predicted from.
Bytes H264Skip(int width, int height, int first, bool reference);
// `count` of those, each of which walks over the picture but for its first macroblocks.
std::vector<Bytes> H264Skips(int width, int height, int count, bool reference);

// As a decoder takes them: behind start codes, or behind their lengths.
Bytes WithStartCodes(const std::vector<Bytes>& units);
Bytes WithLengths(const std::vector<Bytes>& units);

// A Matroska file of one H.264 stream of what `sps` says, said to be of 64 x 64 pixels.
Bytes H264Matroska(const Bytes& sps, const std::vector<Bytes>& packets);
// One whose streams are known only from its packets. `units` is one picture, which comes twenty times.
Bytes H264ProgramStream(const std::vector<Bytes>& units);
Bytes H264Flv(const Bytes& sps, const std::vector<Bytes>& units);

// An Ogg file of one stream, a page for each 255 segments.
Bytes OggFile(const std::vector<Bytes>& packets);

}  // namespace cosmos::test
