// Converts decoded pictures on the GPU to frames of a clip, with the kernels of preprocess.cu.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cuda/device.h"
#include "image/to_rgb.h"

namespace cosmos::cuda {

// A YUV picture in device memory, as NVDEC outputs it: luma, then interleaved chroma (NV12, P016) or two
// chroma planes (YUV444).
struct DevicePicture {
  int width = 0;  // as stored, before orientation
  int height = 0;
  int bit_depth = 8;       // above 8: 16-bit samples with the value in the upper bits
  bool chroma_420 = true;  // otherwise 4:4:4
  CUdeviceptr luma = 0;
  CUdeviceptr cb = 0;
  CUdeviceptr cr = 0;  // cb + bytes per sample when interleaved
  std::uint32_t luma_pitch = 0;
  std::uint32_t chroma_pitch = 0;
  std::uint32_t chroma_step = 2;  // bytes between neighbouring samples of a row
  YuvMatrix matrix;               // image/to_rgb.h: YuvMatrixOf
  Orientation orientation;
};

// The kernels of one device, and resize filters of recently used sizes. Thread-safe; each call passes its own
// stream.
class Preprocessor {
 public:
  // The driver compiles the PTX the first time and caches the result. Fails with kLibrary when the driver
  // rejects the kernels.
  static Result<std::shared_ptr<Preprocessor>> Load(const Device& device);

  // Picture i → RGB → antialiased bilinear to width × height → uint8 planar [3, height, width] at targets[i].
  // Bit-exact with RgbConverter, Orient and ResizeToPlanar. Queues on `stream`; the caller must keep the
  // returned object until that work has run. After a failure the stream is idle.
  Result<std::shared_ptr<const void>> ToPlanar(std::span<const DevicePicture> pictures,
                                               std::span<const CUdeviceptr> targets, int width, int height,
                                               BufferPool& pool, CUstream stream);

  // uint8 [T, 3, H, W] → float32 [3, T, H, W] in 0..1, for graphs of TAO's form.
  Status ToTao(CUdeviceptr clip, CUdeviceptr out, int frames, int height, int width, CUstream stream) const;

 private:
  struct DeviceFilter;  // a ResizeFilter in device memory
  using InUse = std::vector<std::shared_ptr<const void>>;

  Preprocessor(const Device& device, Module module, Stream uploads)
      : device_(device), module_(std::move(module)), uploads_(std::move(uploads)) {}
  Result<std::shared_ptr<const DeviceFilter>> FilterFor(int in_size, int out_size, BufferPool& pool);
  Result<std::shared_ptr<const DeviceFilter>> Upload(int in_size, int out_size, BufferPool& pool);
  // For pictures that can share a launch, at most kMaxPictures.
  Status Resize(std::span<const DevicePicture> pictures, std::span<const CUdeviceptr> targets, int width,
                int height, BufferPool& pool, CUstream stream, InUse& in_use);
  Status Launch(CUfunction kernel, const std::array<unsigned, 3>& grid, const std::array<unsigned, 2>& block,
                void* parameters, CUstream stream) const;

  const Device& device_;
  const Module module_;
  const Stream uploads_;
  CUfunction rows_ = nullptr;
  CUfunction columns_ = nullptr;
  CUfunction tao_ = nullptr;
  std::mutex mutex_;
  // By source and target size, most recently used first.
  std::list<std::pair<std::pair<int, int>, std::shared_ptr<const DeviceFilter>>> filters_;
};

}  // namespace cosmos::cuda
