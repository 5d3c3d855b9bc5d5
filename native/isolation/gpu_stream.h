// One stream of NVDEC that a decoder process feeds, in the server's process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "base/descriptor.h"
#include "base/status.h"
#include "isolation/gpu_messages.h"
#include "media/limits/job_guard.h"
#include "media/nvdec/decoding_gpu.h"
#include "media/nvdec/nvdec_feed.h"

namespace cosmos {

// A call that no decoder makes: the process is then to be ended.
inline Status GpuCallRefused(const char* what) {
  return {StatusCode::kInternal, std::string("it asked the GPU ") + what};
}

// What the streams of one reader share: pictures, which the decoder process names by number, and the error
// that ended the clip. Thread-safe.
class GpuPictures {
 public:
  std::uint32_t Add(std::shared_ptr<AVFrame> frame);
  // Null when there is none of this number.
  std::shared_ptr<AVFrame> Find(std::uint32_t id) const;
  void Drop(std::uint32_t id);
  // A number that no picture has.
  std::uint32_t NextId();

  Status error() const;
  // Keeps the first error.
  void Fail(Status error);

 private:
  mutable std::mutex mutex_;
  std::map<std::uint32_t, std::shared_ptr<AVFrame>> frames_;
  std::uint32_t next_id_ = 1;
  Status error_;
};

// Not thread-safe. The arguments must outlive it.
class GpuStream {
 public:
  GpuStream(NvdecBackend& nvdec, const ClipRequest& request, const JobGuard& guard, GpuPictures& pictures)
      : nvdec_(nvdec), request_(request), guard_(guard), pictures_(pictures) {}

  bool open() const { return stream_ != nullptr; }
  // The stream of its device frames, while it is open.
  CUstream stream() const { return stream_->stream(); }
  // kReset, kRelease or kClose. Fails only for notes that no decoder makes.
  Status Note(GpuNote::Kind kind);
  // kOpen, kSend or kDrain. Fails only for calls that no decoder makes, and with kOutOfMemory when memory of
  // the decoder process cannot be mapped.
  Status Do(GpuCall& call, const Descriptor& memory, GpuAnswer& answer);

 private:
  Status Open(CodedStream stream, GpuAnswer& answer);
  Status Send(GpuCall& call, const Descriptor& memory, GpuAnswer& answer);
  void Receive(GpuAnswer& answer);
  void Settle(Status status, GpuAnswer& answer);

  NvdecBackend& nvdec_;
  const ClipRequest& request_;
  const JobGuard& guard_;
  GpuPictures& pictures_;
  std::unique_ptr<NvdecStream> stream_;
  int last_place_ = -1;      // of the packets since the last Reset
  int without_picture_ = 0;  // packets since the last picture or Reset
};

// Reports a failure in the answer, and keeps it if the clip cannot go on.
void SettleGpuCall(Status status, GpuPictures& pictures, GpuAnswer& answer);

}  // namespace cosmos
