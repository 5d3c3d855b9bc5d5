// A decoded picture in the memory of a GPU, carried by an AVFrame.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "cuda/device.h"
#include "cuda/preprocess.h"
#include "ffmpeg/ffmpeg.h"
#include "image/to_rgb.h"

namespace cosmos {

// How many bytes of such pictures one reader holds.
using DeviceFrameMeter = std::shared_ptr<std::atomic<std::int64_t>>;

// A frame of the size and with data[] and linesize[] for this layout (AV_PIX_FMT_NV12, P016LE, YUV444P or
// YUV444P16LE), whose buffer comes from the pool; its format is AV_PIX_FMT_CUDA. Nothing is written yet, and
// nothing on any stream may use it when its last reference goes.
Result<ff::Frame> MakeDeviceFrame(cuda::BufferPool& buffers, AVPixelFormat layout, int width, int height,
                                  const DeviceFrameMeter& meter);

inline bool IsDeviceFrame(const AVFrame& frame) { return frame.format == AV_PIX_FMT_CUDA; }
// Of a device frame.
AVPixelFormat LayoutOf(const AVFrame& frame);
// What the kernels take of a device frame.
cuda::DevicePicture DevicePictureOf(const AVFrame& frame, Orientation orientation);

}  // namespace cosmos
