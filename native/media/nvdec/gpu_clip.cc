// Makes clips in GPU memory from pictures there.
#include <utility>
#include <vector>

#include "media/nvdec/device_frame.h"
#include "media/nvdec/gpu.h"

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

// Queues the clip's conversion. `in_use` must live until the stream has finished.
Status Fill(Gpu& gpu, const ClipShape& shape, std::span<const DeviceSlot> device,
            std::span<const std::uint8_t* const> host, CUdeviceptr clip, CUstream stream,
            Orientation orientation, std::shared_ptr<const void>& in_use) {
  const auto address_of = [&](std::size_t slot) { return clip + shape.frame_bytes() * slot; };
  std::vector<cuda::DevicePicture> pictures;
  std::vector<CUdeviceptr> targets;
  std::vector<bool> on_device(host.size());
  for (const DeviceSlot& each : device) {
    const auto slot = static_cast<std::size_t>(each.slot);
    pictures.push_back(DevicePictureOf(*each.frame, orientation));
    targets.push_back(address_of(slot));
    on_device[slot] = true;
  }
  COSMOS_ASSIGN_OR_RETURN(in_use, gpu.preprocessor().ToPlanar(pictures, targets, shape.width, shape.height,
                                                              gpu.buffers(), stream));
  for (std::size_t slot = 0; slot < host.size(); ++slot) {
    if (on_device[slot]) continue;
    COSMOS_RETURN_IF_ERROR(gpu.device().Check(
        gpu.device().api().MemcpyHtoDAsync(address_of(slot), host[slot], shape.frame_bytes(), stream),
        "a frame cannot be copied to the GPU"));
  }
  return {};
}

}  // namespace

Result<ClipPtr> Gpu::MakeClip(const ClipShape& shape, std::span<const DeviceSlot> device,
                              std::span<const std::uint8_t* const> host, CUstream stream,
                              Orientation orientation) {
  COSMOS_RETURN_IF_ERROR(device_.MakeCurrent());
  COSMOS_ASSIGN_OR_RETURN(auto buffer, buffers_->Take(shape.bytes()));
  std::shared_ptr<const void> in_use;
  const Status filled = Fill(*this, shape, device, host, buffer->address(), stream, orientation, in_use);
  const Status waited =
      device_.Check(device_.api().StreamSynchronize(stream), "the conversion of a clip's frames failed");
  if (!filled.ok()) return filled;
  if (!waited.ok()) return waited;
  return ClipPtr(
      std::make_shared<Clip>(shape, std::make_unique<PooledPixels>(shared_from_this(), std::move(buffer))));
}

}  // namespace cosmos
