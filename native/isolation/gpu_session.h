// The server's side of a clip that is read in a decoder process and decoded by NVDEC.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "isolation/channel.h"
#include "isolation/decoder_process.h"
#include "isolation/gpu_messages.h"
#include "isolation/gpu_part.h"
#include "isolation/gpu_stream.h"
#include "media/limits/job_guard.h"
#include "media/nvdec/decoding_gpu.h"

namespace cosmos {

// What one reader holds of a GPU: a turn, streams of NVDEC, pictures and clips. The decoder process names
// them by number, and can reach nothing else. Not thread-safe.
class GpuSession {
 public:
  GpuSession(std::shared_ptr<DecodingGpu> gpu, const ClipRequest& request)
      : gpu_(std::move(gpu)),
        request_(request),
        guard_(request.limits.max_wall_seconds, request.limits.max_bytes) {
    if (NvdecBackend* const nvdec = gpu_->nvdec_backend())
      stream_.emplace(*nvdec, request_, guard_, pictures_);
  }

  static GpuOffer OfferOf(const DecodingGpu& gpu) {
    return {.nvdec = gpu.nvdec_backend() != nullptr, .reason = gpu.nvdec_reason()};
  }

  // While the decoder process works on one clip.
  class Request {
   public:
    Request(GpuSession& session, CancelTokenPtr cancel);
    ~Request();
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

   private:
    GpuSession& session_;
    JobGuard::Call call_;
  };

  // Does what a kGpuCall asks for. Fails only for calls that no decoder makes, and with kOutOfMemory when
  // this process is short of something: the decoder process is then to be ended.
  Result<GpuReply> Handle(const Message& message);
  // The error that ended the clip here, which the decoder process may not report.
  Status error() const { return pictures_.error(); }
  // What GpuPart::failure() says of the first part that has one, which is known after the request.
  const Status& part_failure() const { return part_failure_; }
  // A clip that was made for the decoder process.
  Result<ClipPtr> ClipOf(std::uint32_t id) const;

 private:
  using Clock = std::chrono::steady_clock;

  Status Note(const GpuNote& note);
  void Learn(const GpuNote& note);
  bool HasTurn() const { return turn_ && turn_->path() == DecodePath::kHardware; }
  Status Do(GpuCall& call, const Descriptor& memory, GpuAnswer& answer, GpuReply& reply);
  Status BeginTurn(const GpuCall& call, GpuAnswer& answer, GpuReply& reply);
  Status OpenPart(GpuAnswer& answer, GpuReply& reply);
  Status MakeClip(const GpuCall& call, const Descriptor& memory, GpuAnswer& answer);

  const std::shared_ptr<DecodingGpu> gpu_;
  const ClipRequest& request_;
  JobGuard guard_;
  GpuPictures pictures_;

  // Of the current request:
  bool had_turn_ = false;
  bool learnt_ = false;
  bool counted_ = false;

  std::optional<DecodeTurns::Turn> turn_;
  Clock::time_point turn_began_;
  std::optional<GpuStream> stream_;  // without NVDEC there is none
  std::map<std::uint32_t, ClipPtr> clips_;
  Status part_failure_;
  std::vector<std::unique_ptr<GpuPart>> parts_;  // end before what they use
};

}  // namespace cosmos
