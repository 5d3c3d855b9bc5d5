// Device frames: decoded pictures in GPU memory, carried by AVFrames.
#pragma once

#include <cstdint>
#include <memory>

#include "cuda/device.h"
#include "cuda/preprocess.h"
#include "ffmpeg/ffmpeg.h"
#include "image/to_rgb.h"
#include "media/limits/job_guard.h"

namespace cosmos {

// Allocates a frame of format AV_PIX_FMT_CUDA from the pool, with data[] and linesize[] for `layout`
// (AV_PIX_FMT_NV12, P016LE, YUV444P or YUV444P16LE). Its pixels are uninitialised. No stream may still use it
// when its last reference is dropped.
Result<ff::Frame> MakeDeviceFrame(cuda::BufferPool& buffers, AVPixelFormat layout, int width, int height,
                                  const DeviceFrameMeter& meter);

// What a device frame holds.
class DeviceFrameOwner {
 public:
  explicit DeviceFrameOwner(AVPixelFormat layout) : layout_(layout) {}
  virtual ~DeviceFrameOwner() = default;
  DeviceFrameOwner(const DeviceFrameOwner&) = delete;
  DeviceFrameOwner& operator=(const DeviceFrameOwner&) = delete;
  AVPixelFormat layout() const { return layout_; }

 private:
  const AVPixelFormat layout_;
};
// A frame of format AV_PIX_FMT_CUDA at this address, whose planes are not set. The owner is destroyed with
// its last reference.
Result<ff::Frame> WrapDeviceFrame(std::unique_ptr<DeviceFrameOwner> owner, CUdeviceptr address,
                                  std::size_t bytes, int width, int height);

inline bool IsDeviceFrame(const AVFrame& frame) { return frame.format == AV_PIX_FMT_CUDA; }
// The pixel layout of a device frame, and where it begins.
AVPixelFormat LayoutOf(const AVFrame& frame);
CUdeviceptr AddressOf(const AVFrame& frame);
// A device frame as the preprocess kernels take it.
cuda::DevicePicture DevicePictureOf(const AVFrame& frame, Orientation orientation);

}  // namespace cosmos
