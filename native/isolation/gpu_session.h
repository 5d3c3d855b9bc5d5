// The server's side of a clip that is read in a decoder process and decoded by NVDEC.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "base/cancel.h"
#include "base/status.h"
#include "isolation/channel.h"
#include "isolation/gpu_messages.h"
#include "media/limits/job_guard.h"
#include "media/nvdec/decoding_gpu.h"
#include "media/nvdec/nvdec_feed.h"

namespace cosmos {

// What one reader holds of a GPU: a turn, a stream of NVDEC, pictures and clips. The decoder process names
// them by number, and can reach nothing else. Not thread-safe.
class GpuSession {
 public:
  GpuSession(std::shared_ptr<DecodingGpu> gpu, const ClipRequest& request)
      : gpu_(std::move(gpu)),
        request_(request),
        guard_(request.limits.max_wall_seconds, request.limits.max_bytes) {}

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

  // Does what a kGpuCall asks for. Returns the body of the answer, or nothing where none is due. Fails only
  // for calls that no decoder makes: the process is then to be ended.
  Result<std::optional<Bytes>> Handle(const Message& message);
  // The time that Handle waited for other clips, since it was last asked.
  std::chrono::steady_clock::duration TakeWaited() { return std::exchange(waited_, {}); }
  // The error that ended the clip here, which the decoder process may not report.
  const Status& error() const { return error_; }
  // A clip that was made for the decoder process.
  Result<ClipPtr> ClipOf(std::uint32_t id) const;

 private:
  using Clock = std::chrono::steady_clock;

  Status Note(const GpuNote& note);
  void Learn(const GpuNote& note);
  Status Do(GpuCall& call, const Descriptor& memory, GpuAnswer& answer);
  Status BeginTurn(const GpuCall& call, GpuAnswer& answer);
  Status Open(GpuCall& call, GpuAnswer& answer);
  Status Send(GpuCall& call, const Descriptor& memory, GpuAnswer& answer);
  Status MakeClip(const GpuCall& call, const Descriptor& memory, GpuAnswer& answer);
  void Receive(GpuAnswer& answer);
  void Settle(Status status, GpuAnswer& answer);

  const std::shared_ptr<DecodingGpu> gpu_;
  const ClipRequest& request_;
  JobGuard guard_;
  Status error_;
  Clock::duration waited_{};

  // Of the current request:
  bool had_turn_ = false;
  bool learnt_ = false;
  bool counted_ = false;

  std::optional<DecodeTurns::Turn> turn_;
  Clock::time_point turn_began_;
  std::unique_ptr<NvdecStream> stream_;
  int last_place_ = -1;      // of the packets since the last Reset
  int without_picture_ = 0;  // packets since the last picture or Reset
  std::uint32_t next_id_ = 1;
  std::map<std::uint32_t, std::shared_ptr<AVFrame>> frames_;
  std::map<std::uint32_t, ClipPtr> clips_;
};

}  // namespace cosmos
