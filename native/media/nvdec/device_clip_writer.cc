#include "media/nvdec/device_clip_writer.h"

#include <utility>

#include "media/nvdec/device_frame.h"

namespace cosmos {
namespace {

class PooledPixels final : public DevicePixels {
 public:
  PooledPixels(std::shared_ptr<Gpu> gpu, std::shared_ptr<cuda::DeviceBuffer> buffer)
      : gpu_(std::move(gpu)), buffer_(std::move(buffer)) {}

  int device() const override { return gpu_->device().info().ordinal; }
  std::uint64_t address() const override { return buffer_->address(); }
  Status CopyToHost(std::uint8_t* out, std::size_t bytes) const override {
    const cuda::Device& device = gpu_->device();
    COSMOS_RETURN_IF_ERROR(device.MakeCurrent());
    COSMOS_ASSIGN_OR_RETURN(auto stream, cuda::MakeStream(device));
    const Status copied =
        device.Check(device.api().MemcpyDtoHAsync(out, buffer_->address(), bytes, stream.get()),
                     "a clip cannot be copied from the GPU");
    const Status waited =
        device.Check(device.api().StreamSynchronize(stream.get()), "the copy of a clip from the GPU failed");
    return copied.ok() ? waited : copied;
  }

 private:
  const std::shared_ptr<Gpu> gpu_;  // outlives the buffer
  const std::shared_ptr<cuda::DeviceBuffer> buffer_;
};

}  // namespace

Result<ClipPtr> DeviceClipWriter::TakeClip(const std::shared_ptr<Gpu>& gpu, CUstream stream,
                                           Orientation orientation) {
  if (device_.empty()) return host_.TakeClip();
  COSMOS_ASSIGN_OR_RETURN(auto buffer, gpu->buffers().Take(shape_.bytes()));
  std::shared_ptr<const void> in_use;
  const Status filled = Fill(*gpu, buffer->address(), stream, orientation, in_use);
  const cuda::Device& device = gpu->device();
  const Status waited =
      device.Check(device.api().StreamSynchronize(stream), "the conversion of a clip's frames failed");
  if (!filled.ok()) return filled;
  if (!waited.ok()) return waited;
  device_.clear();
  return ClipPtr(std::make_shared<Clip>(shape_, std::make_unique<PooledPixels>(gpu, std::move(buffer))));
}

Status DeviceClipWriter::Fill(Gpu& gpu, CUdeviceptr clip, CUstream stream, Orientation orientation,
                              std::shared_ptr<const void>& in_use) const {
  const auto address_of = [&](int slot) { return clip + shape_.frame_bytes() * static_cast<unsigned>(slot); };
  std::vector<cuda::DevicePicture> pictures;
  std::vector<CUdeviceptr> targets;
  std::vector<bool> on_device(static_cast<std::size_t>(shape_.frames));
  for (const DeviceSlot& slot : device_) {
    pictures.push_back(DevicePictureOf(*slot.frame, orientation));
    targets.push_back(address_of(slot.slot));
    on_device[static_cast<std::size_t>(slot.slot)] = true;
  }
  COSMOS_ASSIGN_OR_RETURN(in_use, gpu.preprocessor().ToPlanar(pictures, targets, shape_.width, shape_.height,
                                                              gpu.buffers(), stream));
  for (int slot = 0; slot < shape_.frames; ++slot) {
    if (on_device[static_cast<std::size_t>(slot)]) continue;
    COSMOS_RETURN_IF_ERROR(gpu.device().Check(
        gpu.device().api().MemcpyHtoDAsync(address_of(slot), host_.frame(slot), shape_.frame_bytes(), stream),
        "a frame cannot be copied to the GPU"));
  }
  return {};
}

}  // namespace cosmos
