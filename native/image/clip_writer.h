// Puts chosen frames into the slots of a clip.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "image/clip.h"
#include "image/rgb_image.h"

namespace cosmos {

class ClipWriter {
 public:
  // `keep_images`: also keep the frames at their own size.
  ClipWriter(const ClipShape& shape, bool keep_images);

  // Resizes into the slot, 0 <= slot < shape.frames. Each slot is filled once.
  void Write(int slot, const RgbImage& image);
  // Fills the slot with what a slot of this or another clip of the same shape already holds.
  void Copy(int slot, const ClipWriter& from, int from_slot);

  int filled() const { return filled_; }
  bool complete() const { return filled_ == clip_->shape().frames; }
  // Of a slot that is filled.
  const std::uint8_t* frame(int slot) const { return clip_->frame(slot); }
  // The clip and its images, once complete.
  ClipPtr TakeClip() { return std::move(clip_); }
  std::vector<RgbImage> TakeImages() { return std::move(images_); }

 private:
  std::shared_ptr<Clip> clip_;
  std::vector<RgbImage> images_;  // empty unless kept
  int filled_ = 0;
};

}  // namespace cosmos
