// One encoded still picture: JPEG, PNG or WebP.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "image/rgb_image.h"
#include "media/clip_types.h"
#include "media/limits/job_guard.h"

namespace cosmos {

struct DecodedImage {
  RgbImage image;
  std::string codec;  // "mjpeg", "png", "webp"
  std::string pixel_format;
};

// The file's bytes go to a decoder directly: no demuxer guesses what they may be. Its size is checked against
// the limits before anything is decoded. Orientation notes (EXIF) are not honoured: the frames of a video
// have none, and the model's own processor ignores them. Animations are refused.
Result<DecodedImage> DecodeImage(std::span<const std::uint8_t> bytes, const DecodeLimits& limits,
                                 const JobGuard& guard);

}  // namespace cosmos
