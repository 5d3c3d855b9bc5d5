// One GPU and everything on it that makes clips: its video decoder, the preprocess kernels and their memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "cuda/device.h"
#include "cuda/preprocess.h"
#include "media/nvdec/decoding_gpu.h"

namespace cosmos {

class Nvdec;

struct GpuOptions {
  int device = 0;
  std::string cuda_library = {};     // absolute; empty: libcuda.so.1 as the loader finds it
  std::string nvcuvid_library = {};  // absolute; empty: libnvcuvid.so.1
  bool nvdec = true;                 // false: decode on the CPU only
  int nvdec_workers = 0;             // clips that NVDEC decodes at a time; 0 = two for each engine
  int cpu_workers = 0;               // clips that the CPU may take over while NVDEC is busy
  std::shared_ptr<DecoderBackend> backend = {};  // decodes in place of NVDEC
};

struct NvdecCapability {
  std::string codec;   // FFmpeg's short name
  std::string chroma;  // "420" | "444"
  int bit_depth = 8;
  bool supported = false;
  int max_width = 0;
  int max_height = 0;
  int engines = 0;
};

struct GpuStats {
  std::int64_t nvdec = 0;     // clips that the hardware decoded, in part at least
  std::int64_t software = 0;  // clips that the CPU decoded
  int nvdec_running = 0;      // clips on the hardware, and waiting for it
  int nvdec_waiting = 0;
  std::int64_t decoders_created = 0;
  std::int64_t decoders_reused = 0;
  std::int64_t decoders_reconfigured = 0;
  bool lost = false;
};

// Thread-safe.
class Gpu final : public DecodingGpu, public std::enable_shared_from_this<Gpu> {
 public:
  // Fails with kLibrary (driver, kernels) or kInvalidArgument (no such device). A missing or unusable NVDEC
  // is not an error: nvdec_reason() says why.
  static Result<std::shared_ptr<Gpu>> Open(const GpuOptions& options);
  ~Gpu() override;
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  cuda::Device& device() const { return device_; }
  cuda::Preprocessor& preprocessor() const { return *preprocessor_; }
  cuda::BufferPool& buffers() const { return *buffers_; }
  DecoderBackend* backend() const override;
  NvdecBackend* nvdec_backend() const override;
  // Null when NVDEC is not used.
  Nvdec* nvdec() const { return nvdec_.get(); }
  const std::string& nvdec_reason() const override { return nvdec_reason_; }

  int nvdec_engines() const;
  int nvdec_workers() const;
  std::vector<NvdecCapability> capabilities() const;
  GpuStats stats() const;
  Result<ClipPtr> MakeClip(const ClipShape& shape, std::span<const DeviceSlot> device,
                           std::span<const std::uint8_t* const> host, CUstream stream,
                           Orientation orientation) override;
  void CountClip(bool by_hardware) override { ++(by_hardware ? hardware_clips_ : software_clips_); }

 private:
  explicit Gpu(cuda::Device& device);

  cuda::Device& device_;
  std::shared_ptr<cuda::Preprocessor> preprocessor_;
  std::shared_ptr<cuda::BufferPool> buffers_;
  std::string nvdec_reason_;
  std::unique_ptr<Nvdec> nvdec_;                   // destroyed before buffers_, which its pool trims
  std::shared_ptr<DecoderBackend> other_backend_;  // in place of nvdec_
  std::atomic<std::int64_t> hardware_clips_ = 0;
  std::atomic<std::int64_t> software_clips_ = 0;
};

}  // namespace cosmos
