// Decodes on the CPU with libavcodec.
#pragma once

#include <memory>

#include "media/bitstream/access_unit.h"
#include "media/clip_types.h"
#include "media/decode/decoder.h"
#include "media/limits/decode_watch.h"
#include "media/limits/job_guard.h"

namespace cosmos {

struct SoftwareDecoderOptions {
  int threads = 1;
  // The least number of pictures to hold back, for streams that do not state their own.
  int reorder_depth = 0;
  // Withholds H.264 pictures that may be incomplete, as the ffmpeg command does.
  bool withhold_incomplete = false;
  AVRational time_base{1, 25};
  DecodeLimits limits;
  const JobGuard* guard = nullptr;  // must outlive the decoder
};

class SoftwareDecoder final : public Decoder {
 public:
  static Result<std::unique_ptr<SoftwareDecoder>> Open(const AVCodecParameters& parameters,
                                                       const SoftwareDecoderOptions& options);

  Status Send(AVPacket& packet, int place, bool wanted) override;
  Status Drain() override;
  Result<std::optional<Picture>> Receive() override;
  void Reset() override;
  int refused() const override { return refused_; }
  bool allows_gaps() const override { return context_->codec_id == AV_CODEC_ID_AV1; }

  // The number of pictures that it may hold back before the first comes out.
  int delay() const;
  // The AVERROR with which the last packet was refused, or 0.
  int refusal() const { return refusal_; }

 private:
  SoftwareDecoder(ff::CodecContext context, std::unique_ptr<DecodeWatch> watch,
                  const AVCodecParameters& parameters, const SoftwareDecoderOptions& options);

  Status OpenAgain();
  static Status StripJpegMetadata(AVPacket& packet);
  Status CheckResult(int error);

  std::unique_ptr<DecodeWatch> watch_;  // must outlive context_, which allocates through it
  ff::CodecContext context_;
  const SoftwareDecoderOptions options_;
  AccessUnitReader units_;
  bool can_skip_;
  int refused_ = 0;
  int refusal_ = 0;
  // Since Reset, for AV1: how many pictures must still come out, and whether all did and the end was reached.
  int awaited_ = 0;
  bool is_clean_ = true;
  bool must_open_again_ = false;  // before the next packet
};

}  // namespace cosmos
