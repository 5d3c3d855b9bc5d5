// Puts chosen frames into the slots of a clip, be they in host memory or in a GPU's.
#pragma once

#include <memory>
#include <vector>

#include "ffmpeg/ffmpeg.h"
#include "image/clip_writer.h"
#include "image/to_rgb.h"
#include "media/nvdec/gpu.h"

namespace cosmos {

// A ClipWriter that also takes device frames: those are kept until the clip is taken, and then go through the
// kernels at once. Without any, the clip stays in host memory.
class DeviceClipWriter {
 public:
  DeviceClipWriter(const ClipShape& shape, bool keep_images) : shape_(shape), host_(shape, keep_images) {}

  // Each slot is filled once, 0 <= slot < shape.frames.
  void Write(int slot, const RgbImage& image) { host_.Write(slot, image); }
  void Write(int slot, std::shared_ptr<AVFrame> frame) { device_.push_back({slot, std::move(frame)}); }
  // Fills the slot with what a slot of this or another such clip got as an image.
  void Copy(int slot, const DeviceClipWriter& from, int from_slot) {
    host_.Copy(slot, from.host_, from_slot);
  }

  bool complete() const { return host_.filled() + static_cast<int>(device_.size()) == shape_.frames; }
  bool has_device_frames() const { return !device_.empty(); }
  bool has_host_frames() const { return host_.filled() > 0; }

  // The clip, once complete. `gpu` and `stream` are those of the device frames, if there are any; the context
  // must be current. Nothing is left on the stream.
  Result<ClipPtr> TakeClip(const std::shared_ptr<Gpu>& gpu, CUstream stream, Orientation orientation);
  std::vector<RgbImage> TakeImages() { return host_.TakeImages(); }

 private:
  struct DeviceSlot {
    int slot = 0;
    std::shared_ptr<AVFrame> frame;
  };

  Status Fill(Gpu& gpu, CUdeviceptr clip, CUstream stream, Orientation orientation,
              std::shared_ptr<const void>& in_use) const;

  ClipShape shape_;
  ClipWriter host_;
  std::vector<DeviceSlot> device_;
};

}  // namespace cosmos
