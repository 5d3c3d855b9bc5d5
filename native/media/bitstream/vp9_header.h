// Reads the colour description of a VP9 picture.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "ffmpeg/ffmpeg.h"

namespace cosmos {

struct Vp9Colour {
  AVColorSpace matrix = AVCOL_SPC_UNSPECIFIED;
  AVColorRange range = AVCOL_RANGE_UNSPECIFIED;
};

// Reads it as libavcodec does from a packet whose first picture is a keyframe or intra-only. Returns nothing
// for damaged headers and for other packets, whose pictures inherit the colours of the last such one.
std::optional<Vp9Colour> ColourOfVp9(std::span<const std::uint8_t> packet);

}  // namespace cosmos
