// Reads the chroma format and bit depth of a stream from its parameters, before anything is decoded.
#pragma once

#include <optional>

#include "ffmpeg/ffmpeg.h"

namespace cosmos {

struct PictureFormat {
  int chroma = 1;  // 0: none, 1: 4:2:0, 2: 4:2:2, 3: 4:4:4
  int bit_depth = 8;
  bool rgb = false;
  bool operator==(const PictureFormat&) const = default;
};

// Returns nothing when the parameters do not tell.
std::optional<PictureFormat> PictureFormatOf(const AVCodecParameters& parameters);

// Whether H.264 pictures may be coded as two separate fields: the parameters allow it or do not tell.
bool MayHaveFields(const AVCodecParameters& parameters);

// E.g. "10-bit 4:2:0".
std::string DescribeFormat(int chroma, int bit_depth);

}  // namespace cosmos
