// Assembles a clip from the chosen frames of a video.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "image/clip.h"
#include "image/rgb_image.h"

namespace cosmos {

class ClipWriter {
 public:
  // `keep_images` also keeps the frames at their original size.
  ClipWriter(const ClipShape& shape, bool keep_images);

  // Resizes the image into the slot, 0 <= slot < shape.frames. Each slot is filled once.
  void Write(int slot, const RgbImage& image);
  // Copies a filled slot of this or another clip of the same shape.
  void Copy(int slot, const ClipWriter& from, int from_slot);

  int filled() const { return filled_; }
  bool complete() const { return filled_ == clip_->shape().frames; }
  // The slot must be filled.
  const std::uint8_t* frame(int slot) const { return clip_->frame(slot); }
  // Valid once complete.
  ClipPtr TakeClip() { return std::move(clip_); }
  std::vector<RgbImage> TakeImages() { return std::move(images_); }

 private:
  std::shared_ptr<Clip> clip_;
  std::vector<RgbImage> images_;  // empty unless keep_images
  int filled_ = 0;
};

}  // namespace cosmos
