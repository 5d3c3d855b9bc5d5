// The entry point of media/: reads clips from videos and still images.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <variant>

#include "base/cancel.h"
#include "base/status.h"
#include "media/clip_types.h"

namespace cosmos {

// Reads one clip, or one clip per window or shot in order, in one pass over the source. Not thread-safe.
// Calls block, so run them on a worker thread.
class ClipReader {
 public:
  static Result<std::unique_ptr<ClipReader>> Open(MediaSource source, const ClipRequest& request,
                                                  const std::optional<Windows>& windows,
                                                  CancelTokenPtr cancel);
  virtual ~ClipReader() = default;

  // The next clip, or nothing after the last. After an error every call returns that error.
  virtual Result<std::optional<DecodedClip>> Next(CancelTokenPtr cancel) = 0;
};

// Makes a clip of T frames from n still images (encoded JPEG, PNG or WebP, or raw RGB): image
// floor(i·(n−1)/(T−1)) becomes frame i. The request's frame rule is for videos and is ignored.
using StillImage = std::variant<MediaBytes, RgbImage>;
Result<DecodedClip> ClipFromImages(std::span<const StillImage> images, const ClipRequest& request,
                                   CancelTokenPtr cancel);

}  // namespace cosmos
