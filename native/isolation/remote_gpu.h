// The server's GPU, as a decoder process reaches it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "isolation/channel.h"
#include "isolation/gpu_messages.h"
#include "media/nvdec/decoding_gpu.h"
#include "media/nvdec/nvdec_feed.h"

namespace cosmos {

// Calls over one channel, and notes for the server, which travel with the next call. Notes may come from any
// thread; one thread calls at a time.
class RemoteLink {
 public:
  // Sends a kGpuCall, with a descriptor or -1, and returns its answer; nothing where none is `due`.
  using Ask = std::function<Result<Message>(const Bytes& call, int descriptor, bool due)>;
  struct Reply {
    GpuAnswer answer;
    Descriptor descriptor;
  };

  explicit RemoteLink(Ask ask) : ask_(std::move(ask)) {}

  // Tells the server before the next call, or with the next Flush.
  void Note(const GpuNote& note);
  Status Flush();
  // Fails when the channel does. What the GPU reports is in the answer.
  Result<Reply> Call(GpuCall call, int descriptor = -1);

 private:
  std::vector<GpuNote> TakeNotes();
  Status SendNotes(std::vector<GpuNote>& notes, std::size_t kept);

  const Ask ask_;
  std::mutex mutex_;
  std::vector<GpuNote> notes_;
};

// Clips and frames of it have a number for an address. Not thread-safe, except that each of the streams that
// share a clip's runs may be used by a thread of its own.
class RemoteGpu final : public DecodingGpu, public std::enable_shared_from_this<RemoteGpu> {
 public:
  // Without NVDEC `reason` says why not.
  RemoteGpu(bool nvdec, std::string reason, RemoteLink::Ask ask);
  ~RemoteGpu() override;

  DecoderBackend* backend() const override;
  const std::string& nvdec_reason() const override { return reason_; }
  NvdecBackend* nvdec_backend() const override { return nvdec_.get(); }
  Result<ClipPtr> MakeClip(const ClipShape& shape, std::span<const DeviceSlot> device,
                           std::span<const std::uint8_t* const> host, CUstream stream,
                           Orientation orientation) override;
  void CountClip(bool by_hardware) override;

  RemoteLink& link() { return link_; }

 private:
  const std::string reason_;
  RemoteLink link_;
  std::unique_ptr<NvdecBackend> nvdec_;
};

}  // namespace cosmos
