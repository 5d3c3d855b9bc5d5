// NVDEC of one GPU: the library, what it can decode, its decoders, and whose turn it is.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>

#include "cuda/device.h"
#include "media/demux/picture_format.h"
#include "media/nvdec/gpu.h"
#include "media/nvdec/nvcuvid.h"
#include "media/nvdec/nvdec_pool.h"
#include "media/nvdec/nvdec_scheduler.h"

namespace cosmos {

// Of a codec that NVDEC may know; nothing for others.
std::optional<cudaVideoCodec> NvdecCodec(AVCodecID codec);

class Nvdec {
 public:
  // Fails with kLibrary when there is no library or the GPU decodes nothing with it.
  static Result<std::unique_ptr<Nvdec>> Open(const cuda::Device& device, cuda::BufferPool& buffers,
                                             const GpuOptions& options);

  const cuda::Device& device() const { return device_; }
  const NvcuvidApi& api() const { return library_.api(); }
  cuda::BufferPool& buffers() { return buffers_; }
  NvdecPool& pool() { return pool_; }
  NvdecScheduler& scheduler() { return *scheduler_; }
  int engines() const { return engines_; }
  // Clips that may be in it at a time.
  int workers() const { return workers_; }

  // What the GPU says of a format, asked once. Of a failed call: that it supports nothing.
  CUVIDDECODECAPS Caps(cudaVideoCodec codec, int chroma, int bit_depth);
  // Empty, or why NVDEC does not decode such pictures, e.g. "NVDEC of NVIDIA H100 does not decode av1 8-bit
  // 4:2:0". Sizes are coded; 0 where they are not known yet.
  std::string WhyNot(AVCodecID codec, const PictureFormat& format, int width, int height);

 private:
  Nvdec(const cuda::Device& device, cuda::BufferPool& buffers, const Nvcuvid& library);
  Status Start(const GpuOptions& options);
  Result<CUVIDDECODECAPS> Ask(cudaVideoCodec codec, int chroma, int bit_depth) const;

  const cuda::Device& device_;
  cuda::BufferPool& buffers_;
  const Nvcuvid& library_;
  int engines_ = 0;
  int workers_ = 0;
  NvdecPool pool_;
  std::unique_ptr<NvdecScheduler> scheduler_;
  std::mutex mutex_;
  std::map<std::tuple<int, int, int>, CUVIDDECODECAPS> caps_;  // by codec, chroma, depth
};

}  // namespace cosmos
