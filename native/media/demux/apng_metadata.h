// Reduces the headers of animated PNGs to what their pixels need.
#pragma once

#include "ffmpeg/ffmpeg.h"

namespace cosmos {

// Drops texts, profiles and the like from `parameters`, if they are of an animated PNG: FFmpeg's decoder
// unpacks and keeps them all, without a limit.
void StripApngMetadata(AVCodecParameters& parameters);

}  // namespace cosmos
