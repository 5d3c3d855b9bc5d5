// Assembles a clip from frames in host memory and device frames.
#pragma once

#include <memory>
#include <vector>

#include "image/clip_writer.h"
#include "image/to_rgb.h"
#include "media/nvdec/decoding_gpu.h"

namespace cosmos {

// A ClipWriter that also takes device frames. It keeps them until the clip is taken and then runs the kernels
// once for all of them. Without device frames the clip stays in host memory.
class DeviceClipWriter {
 public:
  DeviceClipWriter(const ClipShape& shape, bool keep_images) : shape_(shape), host_(shape, keep_images) {}

  // Fills a slot, 0 <= slot < shape.frames. Each slot is filled once.
  void Write(int slot, const RgbImage& image) { host_.Write(slot, image); }
  void Write(int slot, std::shared_ptr<AVFrame> frame) { device_.push_back({slot, std::move(frame)}); }
  // Fills a slot with the image in a slot of this or another clip.
  void Copy(int slot, const DeviceClipWriter& from, int from_slot) {
    host_.Copy(slot, from.host_, from_slot);
  }

  bool complete() const { return host_.filled() + static_cast<int>(device_.size()) == shape_.frames; }
  bool has_device_frames() const { return !device_.empty(); }

  // Returns the clip, which must be complete. With device frames, `gpu` and `stream` are theirs. The stream
  // has finished on return.
  Result<ClipPtr> TakeClip(DecodingGpu* gpu, CUstream stream, Orientation orientation);
  std::vector<RgbImage> TakeImages() { return host_.TakeImages(); }

 private:
  ClipShape shape_;
  ClipWriter host_;
  std::vector<DeviceSlot> device_;
};

}  // namespace cosmos
