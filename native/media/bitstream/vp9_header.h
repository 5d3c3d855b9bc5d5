// What a VP9 picture says of its colours.
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

// Of a packet whose first picture is a keyframe or an intra-only picture, as libavcodec understands it.
// Nothing for other packets, whose pictures have the colours of the last such one, and for damaged headers.
std::optional<Vp9Colour> ColourOfVp9(std::span<const std::uint8_t> packet);

}  // namespace cosmos
