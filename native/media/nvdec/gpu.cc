#include "media/nvdec/gpu.h"

#include <array>
#include <utility>

#include "media/nvdec/nvdec.h"

namespace cosmos {
namespace {

// What idle buffers may keep of the GPU's memory.
constexpr std::size_t kIdleShare = 64;

}  // namespace

Gpu::Gpu(cuda::Device& device) : device_(device) {}

// Decoders before the buffers that they may trim.
Gpu::~Gpu() = default;

Result<std::shared_ptr<Gpu>> Gpu::Open(const GpuOptions& options) {
  COSMOS_ASSIGN_OR_RETURN(auto driver, cuda::Driver::Open(options.cuda_library));
  COSMOS_ASSIGN_OR_RETURN(auto device, cuda::Device::Open(*driver, options.device));
  COSMOS_ASSIGN_OR_RETURN(auto preprocessor, cuda::Preprocessor::Load(*device));

  std::shared_ptr<Gpu> gpu(new Gpu(*device));
  gpu->preprocessor_ = std::move(preprocessor);
  gpu->buffers_ =
      std::make_shared<cuda::BufferPool>(gpu->device_, gpu->device_.info().total_bytes / kIdleShare);
  if (!options.nvdec) {
    gpu->nvdec_reason_ = "NVDEC was switched off";
    return gpu;
  }
  auto nvdec = Nvdec::Open(gpu->device_, *gpu->buffers_, options);
  if (nvdec.ok()) {
    gpu->nvdec_ = std::move(nvdec).value();
  } else if (nvdec.status().code() == StatusCode::kDeviceLost) {
    return nvdec.TakeStatus();
  } else {
    gpu->nvdec_reason_ = nvdec.status().message();
  }
  return gpu;
}

int Gpu::nvdec_engines() const { return nvdec_ ? nvdec_->engines() : 0; }
int Gpu::nvdec_workers() const { return nvdec_ ? nvdec_->workers() : 0; }

std::vector<NvdecCapability> Gpu::capabilities() const {
  struct Format {
    AVCodecID codec;
    int chroma;
    int bit_depth;
  };
  constexpr std::array kFormats = {
      Format{AV_CODEC_ID_H264, 1, 8},  Format{AV_CODEC_ID_H264, 1, 10}, Format{AV_CODEC_ID_HEVC, 1, 8},
      Format{AV_CODEC_ID_HEVC, 1, 10}, Format{AV_CODEC_ID_HEVC, 1, 12}, Format{AV_CODEC_ID_HEVC, 3, 8},
      Format{AV_CODEC_ID_HEVC, 3, 10}, Format{AV_CODEC_ID_VP9, 1, 8},   Format{AV_CODEC_ID_VP9, 1, 10},
      Format{AV_CODEC_ID_AV1, 1, 8},   Format{AV_CODEC_ID_AV1, 1, 10},  Format{AV_CODEC_ID_VP8, 1, 8},
  };
  std::vector<NvdecCapability> capabilities;
  for (const Format& format : kFormats) {
    if (!nvdec_) break;
    const CUVIDDECODECAPS caps = nvdec_->Caps(*NvdecCodec(format.codec), format.chroma, format.bit_depth);
    capabilities.push_back({.codec = avcodec_get_name(format.codec),
                            .chroma = format.chroma == 3 ? "444" : "420",
                            .bit_depth = format.bit_depth,
                            .supported = caps.bIsSupported != 0,
                            .max_width = static_cast<int>(caps.nMaxWidth),
                            .max_height = static_cast<int>(caps.nMaxHeight),
                            .engines = caps.nNumNVDECs});
  }
  return capabilities;
}

GpuStats Gpu::stats() const {
  GpuStats stats{.nvdec = nvdec_clips_, .software = software_clips_};
  stats.lost = device_.lost();
  if (!nvdec_) return stats;
  stats.nvdec_running = nvdec_->scheduler().running();
  stats.nvdec_waiting = nvdec_->scheduler().waiting();
  const NvdecPool::Counts counts = nvdec_->pool().counts();
  stats.decoders_created = counts.created;
  stats.decoders_reused = counts.reused;
  stats.decoders_reconfigured = counts.reconfigured;
  return stats;
}

}  // namespace cosmos
