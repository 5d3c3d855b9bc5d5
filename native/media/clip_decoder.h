// Chooses between the hardware and the CPU, decodes a plan there, and falls back to the CPU.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "media/clip_types.h"
#include "media/decode/hardware_decoder.h"
#include "media/decode/picture_stream.h"
#include "media/decode/software_decoder.h"
#include "media/demux/demuxer.h"
#include "media/limits/job_guard.h"
#include "media/parallel_runs.h"
#include "media/plan/decode_plan.h"
#include "media/scan/video_scan.h"

namespace cosmos {

class ClipDecoder {
 public:
  // All arguments must outlive it.
  ClipDecoder(const MediaSource& media, Demuxer& demuxer, const VideoScan& scan, const ClipRequest& request,
              JobGuard& guard)
      : media_(media), demuxer_(demuxer), scan_(scan), request_(request), guard_(guard) {}

  // Opens the CPU's decoder, to which everything falls back. Fails where the video cannot be decoded at all.
  Status Open();
  // Pictures that a decoder may hold back. Call it before Begin.
  int delay() const { return software_->delay(); }

  // Call it before each clip's pictures are taken. The first call chooses the path; each call waits for a
  // slot of the hardware if that is the path, and holds it until End. `plan` covers all `clips` clips and
  // must outlive this object.
  Status Begin(const DecodePlan& plan, int clips);
  Result<std::optional<WantedPicture>> Next();
  // `decode_ms` is the time spent in Next since Begin.
  void End(double decode_ms);

  bool IsFromHardware(const WantedPicture& picture) const { return hardware_ && !picture.recovered; }

  DecodeCounts counts() const { return pictures_ ? pictures_->counts() : parallel_.counts; }
  // The total time spent waiting for a slot of the hardware.
  double waited_ms() const { return waited_ms_; }
  int seeks() const { return pictures_ ? pictures_->seeks() : parallel_.seeks; }
  // Bytes that parallel decoding read through demuxers of its own.
  std::int64_t parallel_bytes_read() const { return parallel_.bytes_read; }
  // The AVERROR with which libavcodec refused the last packet, or 0.
  int refusal() const;
  // Why the CPU decoded although there is a GPU; empty without a GPU and when the hardware decoded it all.
  std::string reason() const;
  // The CUDA stream of device frames.
  CUstream stream() const { return hardware_ ? hardware_->stream() : nullptr; }

 private:
  DecoderBackend* backend() const;
  Result<std::unique_ptr<SoftwareDecoder>> OpenSoftware(int threads) const;
  std::string WhyNotHardware() const;
  DecodeWork WorkOf(const DecodePlan& plan, int clips) const;
  Status ChoosePath(DecodeWork work);
  Status OpenHardware();
  Status OpenPictures(const DecodePlan& plan);
  Status DecodeInParallel(const DecodePlan& plan);

  const MediaSource& media_;
  Demuxer& demuxer_;
  const VideoScan& scan_;
  const ClipRequest& request_;
  JobGuard& guard_;
  std::unique_ptr<SoftwareDecoder> software_;
  std::unique_ptr<HardwareDecoder> hardware_;
  const SoftwareDecoder* recovery_ = nullptr;  // owned by pictures_
  std::unique_ptr<PictureStream> pictures_;
  const DecodePlan* parallel_plan_ = nullptr;  // to be decoded in parallel by the first Next
  ParallelResult parallel_;
  std::size_t wanted_ = 0;  // pictures of the plan
  std::size_t delivered_ = 0;
  std::optional<DecodePath> path_;
  std::string reason_;

  DecodeScheduler::Turn turn_;
  double waited_ms_ = 0;
  double setup_seconds_ = 0;      // estimated when the turn began
  DecodeCounts counts_at_begin_;  // of the turn
};

}  // namespace cosmos
