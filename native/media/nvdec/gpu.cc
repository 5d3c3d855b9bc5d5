#include "media/nvdec/gpu.h"

#include <utility>

#include "media/nvdec/nvdec.h"

namespace cosmos {
namespace {

// The share of the GPU's memory that idle buffers may keep.
constexpr std::size_t kIdleShare = 64;

}  // namespace

Gpu::Gpu(cuda::Device& device) : device_(device) {}

// Out of line: Nvdec is incomplete in the header.
Gpu::~Gpu() = default;

Result<std::shared_ptr<Gpu>> Gpu::Open(const GpuOptions& options) {
  COSMOS_ASSIGN_OR_RETURN(auto driver, cuda::Driver::Open(options.cuda_library));
  COSMOS_ASSIGN_OR_RETURN(auto device, cuda::Device::Open(*driver, options.device));
  COSMOS_ASSIGN_OR_RETURN(auto preprocessor, cuda::Preprocessor::Load(*device));

  std::shared_ptr<Gpu> gpu(new Gpu(*device));
  gpu->preprocessor_ = std::move(preprocessor);
  gpu->buffers_ =
      std::make_shared<cuda::BufferPool>(gpu->device_, gpu->device_.info().total_bytes / kIdleShare);
  if (options.backend) {
    gpu->other_backend_ = options.backend;
    return gpu;
  }
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

DecoderBackend* Gpu::backend() const { return other_backend_ ? other_backend_.get() : nvdec_.get(); }

NvdecBackend* Gpu::nvdec_backend() const { return nvdec_.get(); }

int Gpu::nvdec_engines() const { return nvdec_ ? nvdec_->engines() : 0; }
int Gpu::nvdec_workers() const { return nvdec_ ? nvdec_->workers() : 0; }

std::vector<NvdecCapability> Gpu::capabilities() const {
  return nvdec_ ? nvdec_->Capabilities() : std::vector<NvdecCapability>();
}

GpuStats Gpu::stats() const {
  GpuStats stats{.nvdec = hardware_clips_, .software = software_clips_};
  stats.lost = device_.lost();
  if (DecoderBackend* hardware = backend()) {
    stats.nvdec_running = hardware->scheduler().running();
    stats.nvdec_waiting = hardware->scheduler().waiting();
  }
  if (!nvdec_) return stats;
  const NvdecPool::Counts counts = nvdec_->pool().counts();
  stats.decoders_created = counts.created;
  stats.decoders_reused = counts.reused;
  stats.decoders_reconfigured = counts.reconfigured;
  return stats;
}

}  // namespace cosmos
