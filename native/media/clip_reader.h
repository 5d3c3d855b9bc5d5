// From media to clips: the door of media/. Everything else in this folder is behind it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <variant>

#include "base/cancel.h"
#include "base/status.h"
#include "media/clip_types.h"

namespace cosmos {

// Reads one clip (no windows) or one clip per window, in order, in one pass over the source.
// Not thread-safe: one thread at a time calls into it. Calls block; run them on a worker.
class ClipReader {
 public:
  static Result<std::unique_ptr<ClipReader>> Open(MediaSource source, const ClipRequest& request,
                                                  std::optional<Windows> windows, CancelTokenPtr cancel);
  virtual ~ClipReader() = default;

  // The next clip, or nothing when there are no more. After an error every call returns that error.
  virtual Result<std::optional<DecodedClip>> Next(CancelTokenPtr cancel) = 0;
};

// A clip from still pictures (encoded JPEG, PNG, WebP, or raw RGB): picture floor(i·(n−1)/(T−1)) of n becomes
// frame i, whatever the request's rule for videos.
using StillImage = std::variant<MediaBytes, RgbImage>;
Result<DecodedClip> ClipFromImages(std::span<const StillImage> images, const ClipRequest& request,
                                   CancelTokenPtr cancel);

}  // namespace cosmos
