// Device frames: decoded pictures in GPU memory, carried by AVFrames.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "cuda/device.h"
#include "cuda/preprocess.h"
#include "ffmpeg/ffmpeg.h"
#include "image/to_rgb.h"

namespace cosmos {

// The bytes of device frames that one reader holds.
using DeviceFrameMeter = std::shared_ptr<std::atomic<std::int64_t>>;

// Allocates a frame of format AV_PIX_FMT_CUDA from the pool, with data[] and linesize[] for `layout`
// (AV_PIX_FMT_NV12, P016LE, YUV444P or YUV444P16LE). Its pixels are uninitialised. No stream may still use it
// when its last reference is dropped.
Result<ff::Frame> MakeDeviceFrame(cuda::BufferPool& buffers, AVPixelFormat layout, int width, int height,
                                  const DeviceFrameMeter& meter);

inline bool IsDeviceFrame(const AVFrame& frame) { return frame.format == AV_PIX_FMT_CUDA; }
// The pixel layout of a device frame.
AVPixelFormat LayoutOf(const AVFrame& frame);
// A device frame as the preprocess kernels take it.
cuda::DevicePicture DevicePictureOf(const AVFrame& frame, Orientation orientation);

}  // namespace cosmos
