// Who decodes a video, NVDEC or the CPU, and the pictures that come of it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "media/clip_types.h"
#include "media/decode/picture_stream.h"
#include "media/decode/software_decoder.h"
#include "media/demux/demuxer.h"
#include "media/limits/job_guard.h"
#include "media/nvdec/nvdec_decoder.h"
#include "media/nvdec/nvdec_scheduler.h"
#include "media/parallel_runs.h"
#include "media/plan/decode_plan.h"
#include "media/scan/video_scan.h"

namespace cosmos {

class ClipDecoder {
 public:
  // All must outlive it.
  ClipDecoder(const MediaSource& media, Demuxer& demuxer, const VideoScan& scan, const ClipRequest& request,
              JobGuard& guard)
      : media_(media), demuxer_(demuxer), scan_(scan), request_(request), guard_(guard) {}

  // Makes a decoder of the CPU's, which whatever NVDEC cannot do falls to. Fails where the video can never be
  // decoded.
  Status Open();
  // Pictures that a decoder may hold back. Before Begin.
  int delay() const { return software_->delay(); }

  // Before pictures are taken: chooses the path the first time, waits for a place in NVDEC if that is it.
  // `plan` must outlive this object, and makes up `clips` clips. The place is held until End.
  Status Begin(const DecodePlan& plan, int clips);
  Result<std::optional<WantedPicture>> Next();
  // `decode_ms`: what Next took since Begin.
  void End(double decode_ms);

  DecodeCounts counts() const { return pictures_ ? pictures_->counts() : parallel_.counts; }
  // For a place in NVDEC, so far.
  double waited_ms() const { return waited_ms_; }
  int seeks() const { return pictures_ ? pictures_->seeks() : parallel_.seeks; }
  // Besides those of the demuxer.
  std::int64_t more_bytes_read() const { return parallel_.bytes_read; }
  // Why the last packet was refused, as an AVERROR, or 0.
  int refusal() const;
  // Why pictures came from the CPU although there is a GPU; empty without one, or when none did.
  std::string reason() const;
  // Of device frames.
  CUstream stream() const { return nvdec_ ? nvdec_->stream() : nullptr; }

 private:
  Result<std::unique_ptr<SoftwareDecoder>> OpenSoftware(int threads) const;
  std::string WhyNotNvdec() const;
  DecodeWork Work(const DecodePlan& plan, int clips) const;
  Status Choose(const DecodeWork& work);
  Status OpenNvdec();
  Status OpenStream(const DecodePlan& plan);
  Status DecodeInParallel(const DecodePlan& plan);

  const MediaSource& media_;
  Demuxer& demuxer_;
  const VideoScan& scan_;
  const ClipRequest& request_;
  JobGuard& guard_;
  std::unique_ptr<SoftwareDecoder> software_;
  std::unique_ptr<NvdecDecoder> nvdec_;
  const SoftwareDecoder* careful_ = nullptr;  // of the picture stream
  std::unique_ptr<PictureStream> pictures_;
  const DecodePlan* whole_plan_ = nullptr;  // of a single clip that has not been begun
  ParallelResult parallel_;
  std::size_t wanted_ = 0;  // pictures of the plan
  std::size_t delivered_ = 0;
  std::optional<DecodePath> path_;
  std::string reason_;

  NvdecScheduler::Turn turn_;
  double waited_ms_ = 0;
  double setup_seconds_ = 0;  // of the turn
  DecodeCounts before_;       // the turn
};

}  // namespace cosmos
