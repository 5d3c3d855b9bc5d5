// Makes clips from still images.
#include <string>
#include <utility>

#include "base/stopwatch.h"
#include "image/clip_writer.h"
#include "media/clip_reader.h"
#include "media/limits/job_guard.h"
#include "media/scan/window_plan.h"
#include "media/still/still_image.h"

namespace cosmos {
namespace {

Result<DecodedImage> Load(const StillImage& still, const DecodeLimits& limits, const JobGuard& guard) {
  if (const auto* bytes = std::get_if<MediaBytes>(&still)) return DecodeImage(bytes->data, limits, guard);
  const auto& raw = std::get<RgbImage>(still);
  const std::size_t expected = std::size_t{3} * raw.width * raw.height;
  if (raw.width < 1 || raw.height < 1 || raw.data.size() != expected) {
    return Status(StatusCode::kInvalidArgument,
                  "a raw picture of " + std::to_string(raw.width) + " x " + std::to_string(raw.height) +
                      " has " + std::to_string(raw.data.size()) + " bytes; it must have 3 per pixel");
  }
  if (std::int64_t{raw.width} * raw.height > limits.max_pixels) {
    return Status(StatusCode::kLimit,
                  "a picture of " + std::to_string(raw.width) + " x " + std::to_string(raw.height) +
                      " pixels is larger than the limit maxPixels of " + std::to_string(limits.max_pixels))
        .With("limit", static_cast<double>(limits.max_pixels));
  }
  return DecodedImage{raw, "rawvideo", "rgb24"};
}

// Adds the number of the picture to an error.
Status AtPicture(const Status& status, int picture) {
  Status located(status.code(), "picture " + std::to_string(picture) + ": " + status.message());
  for (const auto& [key, value] : status.details()) located = Status(std::move(located).With(key, value));
  return std::move(located).With("picture", static_cast<double>(picture));
}

}  // namespace

Result<DecodedClip> ClipFromImages(std::span<const StillImage> images, const ClipRequest& request,
                                   CancelTokenPtr cancel) {
  if (images.empty()) return Status(StatusCode::kInvalidArgument, "a clip needs at least one picture");
  if (Status status = CheckRequest(request); !status.ok()) return status;
  JobGuard guard(request.limits.max_wall_seconds, request.limits.max_bytes);
  const JobGuard::Call call(guard, std::move(cancel));
  const Stopwatch stopwatch;

  ClipWriter writer(request.shape, request.keep_images);
  DecodedClip clip;
  const std::vector<int> chosen = ChooseFrames(static_cast<int>(images.size()), request.shape.frames);
  for (int slot = 0; slot < request.shape.frames; ++slot) {
    const int picture = chosen[slot];
    clip.frames.push_back({.index = picture, .pts = 0, .keyframe = true});
    if (slot > 0 && chosen[slot - 1] == picture) {
      writer.Copy(slot, writer, slot - 1);
      continue;
    }
    if (Status status = guard.Check(); !status.ok()) return status;
    auto loaded = Load(images[picture], request.limits, guard);
    if (Status status = guard.memory().Check(); !status.ok()) return AtPicture(status, picture);
    if (!loaded.ok()) return AtPicture(loaded.status(), picture);
    if (slot == 0) {
      clip.report.codec = loaded->codec;
      clip.report.pixel_format = loaded->pixel_format;
      clip.report.width = loaded->image.width;
      clip.report.height = loaded->image.height;
    }
    writer.Write(slot, loaded->image);
    ++clip.report.decoded;
    if (const auto* bytes = std::get_if<MediaBytes>(&images[picture])) {
      clip.report.bytes_read += static_cast<std::int64_t>(bytes->data.size());
    }
  }
  clip.clip = writer.TakeClip();
  clip.images = writer.TakeImages();
  clip.report.container = "images";
  clip.report.decoder = "image";
  clip.report.frame_count = static_cast<std::int64_t>(images.size());
  clip.report.decode_ms = stopwatch.Milliseconds();
  return clip;
}

}  // namespace cosmos
