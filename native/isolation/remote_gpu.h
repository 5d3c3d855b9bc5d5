// The server's GPU, as a decoder process reaches it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "isolation/gpu_messages.h"
#include "media/nvdec/decoding_gpu.h"
#include "media/nvdec/nvdec_feed.h"

namespace cosmos {

// Clips and frames of it have a number for an address. Not thread-safe: one clip is made at a time, by one
// thread.
class RemoteGpu final : public DecodingGpu, public std::enable_shared_from_this<RemoteGpu> {
 public:
  // Sends a kGpuCall, with a descriptor or -1, and returns the body of its answer; nothing where none is
  // `due`.
  using Ask = std::function<Result<Bytes>(const Bytes& call, int descriptor, bool due)>;

  // Without NVDEC `reason` says why not.
  RemoteGpu(bool nvdec, std::string reason, Ask ask);
  ~RemoteGpu() override;

  DecoderBackend* backend() const override;
  const std::string& nvdec_reason() const override { return reason_; }
  NvdecBackend* nvdec_backend() const override { return nvdec_.get(); }
  Result<ClipPtr> MakeClip(const ClipShape& shape, std::span<const DeviceSlot> device,
                           std::span<const std::uint8_t* const> host, CUstream stream,
                           Orientation orientation) override;
  void CountClip(bool by_hardware) override;

  // Tells the server before the next call, or with the next Flush.
  void Note(const GpuNote& note) { notes_.push_back(note); }
  Status Flush();
  // Fails when the channel does. What the GPU reports is in the answer.
  Result<GpuAnswer> Call(GpuCall call, int descriptor = -1);

 private:
  const std::string reason_;
  const Ask ask_;
  std::unique_ptr<NvdecBackend> nvdec_;
  std::vector<GpuNote> notes_;
};

}  // namespace cosmos
