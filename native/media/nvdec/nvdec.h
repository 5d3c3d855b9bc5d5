// NVDEC of one GPU: its capabilities, its pool of decoders and the scheduler that shares it between clips.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "cuda/device.h"
#include "media/decode/decode_scheduler.h"
#include "media/nvdec/gpu.h"
#include "media/nvdec/nvcuvid.h"
#include "media/nvdec/nvdec_feed.h"
#include "media/nvdec/nvdec_pool.h"

namespace cosmos {

// Nothing for codecs that are left to the CPU.
std::optional<cudaVideoCodec> NvdecCodec(AVCodecID codec);
// Pixels per second of one engine, until the first measurement.
double NvdecSpeed(AVCodecID codec);

class Nvdec final : public NvdecBackend {
 public:
  // Fails with kLibrary when the library is missing or the GPU decodes none of the codecs.
  static Result<std::unique_ptr<Nvdec>> Open(const cuda::Device& device, cuda::BufferPool& buffers,
                                             const GpuOptions& options);

  using NvdecBackend::IdleDecoders;
  using NvdecBackend::Open;
  using NvdecBackend::SetupSeconds;
  using NvdecBackend::WhyNot;
  DecodeScheduler& scheduler() override { return *scheduler_; }
  std::string WhyNot(const CodedStream& stream) override;
  double SetupSeconds(const CodedStream& stream) const override;
  int IdleDecoders(const CodedStream& stream) const override;
  Result<std::unique_ptr<NvdecStream>> Open(CodedStream stream, const DecodeLimits& limits,
                                            const JobGuard& guard) override;

  const cuda::Device& device() const { return device_; }
  const NvcuvidApi& api() const { return library_.api(); }
  cuda::BufferPool& buffers() { return buffers_; }
  NvdecPool& pool() { return pool_; }
  int engines() const { return engines_; }
  // Clips that it decodes at a time.
  int workers() const { return workers_; }

  // What the GPU supports of each format that a caller may ask about.
  std::vector<NvdecCapability> Capabilities();
  // Why NVDEC does not decode such pictures, e.g. "NVDEC of NVIDIA H100 does not decode av1 8-bit 4:2:0", or
  // empty. Sizes are coded sizes; 0 when not known yet.
  std::string WhyNot(AVCodecID codec, const PictureFormat& format, int width, int height);

 private:
  Nvdec(const cuda::Device& device, cuda::BufferPool& buffers, const Nvcuvid& library);
  Status Start(const GpuOptions& options);
  // What the GPU supports of a format: queried once and kept, unless the query failed.
  CUVIDDECODECAPS Caps(cudaVideoCodec codec, int chroma, int bit_depth);
  Result<CUVIDDECODECAPS> QueryCaps(cudaVideoCodec codec, int chroma, int bit_depth) const;

  const cuda::Device& device_;
  cuda::BufferPool& buffers_;
  const Nvcuvid& library_;
  int engines_ = 0;
  int workers_ = 0;
  NvdecPool pool_;
  std::unique_ptr<DecodeScheduler> scheduler_;
  std::mutex mutex_;
  std::map<std::tuple<int, int, int>, CUVIDDECODECAPS> caps_;  // by codec, chroma, depth
};

}  // namespace cosmos
