// Decoded pictures on the GPU to frames of a clip, by our own kernels (preprocess.cu).
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"
#include "cuda/device.h"

namespace cosmos::cuda {

// A YUV picture in device memory, as NVDEC gives it: luma, then chroma that is interleaved (NV12, P016) or
// two more planes (YUV444). Samples of 16 bits have their value in the upper bits.
struct DevicePicture {
  int width = 0;  // of the picture, before it is turned
  int height = 0;
  int bytes_per_sample = 1;  // 1 or 2
  bool chroma_420 = true;    // else 4:4:4
  CUdeviceptr luma = 0;
  CUdeviceptr cb = 0;
  CUdeviceptr cr = 0;  // cb + bytes_per_sample when interleaved
  std::uint32_t luma_pitch = 0;
  std::uint32_t chroma_pitch = 0;
  std::uint32_t chroma_step = 2;  // bytes from one sample of a row to the next
  // Red = y + cr_to_r * cr and so on, on samples scaled to 0..255, with y' = (y - y_offset) * y_scale.
  struct Matrix {
    float y_offset = 0;
    float y_scale = 1;
    float cr_to_r = 0;
    float cb_to_g = 0;
    float cr_to_g = 0;
    float cb_to_b = 0;
  } matrix;
  // How it is turned to be looked at, as image/to_rgb.h says: transposed first, then mirrored.
  bool transpose = false;
  bool flip_x = false;
  bool flip_y = false;
};

// The kernels of one device, loaded once. Thread-safe; each call has its own stream.
class Preprocessor {
 public:
  // The driver compiles the PTX, which takes a moment the first time and comes from its cache later. Fails
  // with kLibrary.
  static Result<std::shared_ptr<Preprocessor>> Load(const Device& device);

  // Picture i → RGB → antialiased bilinear to width × height → uint8 planar [3, height, width] at targets[i].
  // Queued on `stream`; `scratch` must live until that has run. Within 1 of 255 of the CPU path.
  Status ToPlanar(std::span<const DevicePicture> pictures, std::span<const CUdeviceptr> targets, int width,
                  int height, BufferPool& pool, CUstream stream,
                  std::shared_ptr<DeviceBuffer>& scratch) const;

  // uint8 [T, 3, H, W] → float32 [3, T, H, W] in 0..1, for graphs of TAO's form.
  Status ToTao(CUdeviceptr clip, CUdeviceptr out, int frames, int height, int width, CUstream stream) const;

 private:
  Preprocessor(const Device& device, Module module) : device_(device), module_(std::move(module)) {}

  const Device& device_;
  Module module_;
  CUfunction horizontal_ = nullptr;
  CUfunction vertical_ = nullptr;
  CUfunction tao_ = nullptr;
};

}  // namespace cosmos::cuda
