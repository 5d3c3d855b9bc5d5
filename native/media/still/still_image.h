// Decodes a still image: JPEG, PNG or WebP.
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

// Passes the file to the decoder of its format directly, without probing by a demuxer. The size is checked
// against the limits before decoding. EXIF orientation is not applied, because the model's own processor
// ignores it too. Animations are refused.
Result<DecodedImage> DecodeImage(std::span<const std::uint8_t> bytes, const DecodeLimits& limits,
                                 const JobGuard& guard);

}  // namespace cosmos
