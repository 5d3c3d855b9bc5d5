#include "image/clip_writer.h"

#include <cstring>

#include "image/resize.h"

namespace cosmos {

ClipWriter::ClipWriter(const ClipShape& shape, bool keep_images) : clip_(std::make_shared<Clip>(shape)) {
  if (keep_images) images_.resize(shape.frames);
}

void ClipWriter::Write(int slot, const RgbImage& image) {
  ResizeToPlanar(image, clip_->shape().width, clip_->shape().height, clip_->frame(slot));
  if (!images_.empty()) images_[slot] = image;
  ++filled_;
}

void ClipWriter::Copy(int slot, const ClipWriter& from, int from_slot) {
  std::memcpy(clip_->frame(slot), from.clip_->frame(from_slot), clip_->shape().frame_bytes());
  if (!images_.empty()) images_[slot] = from.images_[from_slot];
  ++filled_;
}

}  // namespace cosmos
