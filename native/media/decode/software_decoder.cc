#include "media/decode/software_decoder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/shortage.h"
#include "media/bitstream/picture_parser.h"
#include "media/still/strip_metadata.h"

namespace cosmos {
namespace {

constexpr int kMaxThreads = 64;

// The maximum of has_b_frames for the codec. libavcodec's H.264 decoder ends the process when it is larger;
// the codecs not listed here determine it themselves.
int MaxReorderDepth(AVCodecID codec) {
  switch (codec) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC: return 16;
    default: return 1;
  }
}

// The context calls back into `watch`.
Result<ff::CodecContext> OpenContext(const AVCodecParameters& parameters,
                                     const SoftwareDecoderOptions& options, DecodeWatch& watch) {
  const std::string name = avcodec_get_name(parameters.codec_id);
  const AVCodec* codec = ff::FindDecoder(parameters.codec_id);
  if (!codec) {
    return Status(StatusCode::kMedia,
                  "the video is " + name +
                      ", which is not supported (h264, hevc, av1, vp8, vp9, vc1, wmv1 to 3, mpeg4, "
                      "mpeg2video, mpeg1video, mjpeg, prores, theora, ffv1, dvvideo, rawvideo, gif and "
                      "apng are)")
        .With("codec", name);
  }
  const std::int64_t pixels = std::int64_t{parameters.width} * parameters.height;
  if (pixels > options.limits.max_pixels) {
    return Status(StatusCode::kLimit, "pictures of " + std::to_string(parameters.width) + " x " +
                                          std::to_string(parameters.height) +
                                          " pixels are larger than the limit maxPixels of " +
                                          std::to_string(options.limits.max_pixels))
        .With("pixels", static_cast<double>(pixels))
        .With("limit", static_cast<double>(options.limits.max_pixels));
  }

  ff::CodecContext context(avcodec_alloc_context3(codec));
  if (!context || avcodec_parameters_to_context(context.get(), &parameters) < 0) {
    return Status(StatusCode::kOutOfMemory, "no memory for a decoder");
  }
  context->pkt_timebase = options.time_base;
  context->thread_count = std::clamp(options.threads, 1, kMaxThreads);
  context->thread_type = options.threads > 1 ? FF_THREAD_FRAME : 0;
  // After a seek to an open GOP, incomplete H.264 pictures may come out. The index knows which those are.
  // Without the flag the decoder also withholds complete pictures that it holds when it is drained.
  if (!options.withhold_incomplete) context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
  // Crops the left side exactly: aligned pictures would show up to 31 columns that the stream crops.
  context->flags |= AV_CODEC_FLAG_UNALIGNED;
  // A decoder that holds back too few pictures drops the late ones. The index measured the depth, for streams
  // that do not state it. Both values come from the file and are bounded here.
  context->has_b_frames = std::clamp(std::max(context->has_b_frames, options.reorder_depth), 0,
                                     MaxReorderDepth(parameters.codec_id));
  watch.Attach(*context);
  const int error = avcodec_open2(context.get(), codec, nullptr);
  if (error < 0 && IsShortageOfThreads(AVUNERROR(error))) {
    return Status(StatusCode::kOutOfMemory, "no memory or threads for the " + name + " decoder")
        .With("codec", name);
  }
  if (error < 0) {
    return Status(StatusCode::kMedia, "the " + name + " decoder refused the stream's parameters")
        .With("codec", name)
        .With("reason", ff::ErrorName(error));
  }
  return context;
}

}  // namespace

Result<std::unique_ptr<SoftwareDecoder>> SoftwareDecoder::Open(const AVCodecParameters& parameters,
                                                               const SoftwareDecoderOptions& options) {
  auto watch = std::make_unique<DecodeWatch>(options.limits, options.guard);
  COSMOS_ASSIGN_OR_RETURN(auto context, OpenContext(parameters, options, *watch));
  return std::unique_ptr<SoftwareDecoder>(
      new SoftwareDecoder(std::move(context), std::move(watch), parameters, options));
}

SoftwareDecoder::SoftwareDecoder(ff::CodecContext context, std::unique_ptr<DecodeWatch> watch,
                                 const AVCodecParameters& parameters, const SoftwareDecoderOptions& options)
    : watch_(std::move(watch)),
      context_(std::move(context)),
      options_(options),
      units_(parameters),
      can_skip_(CanSkipNonReference(parameters)) {}

Status SoftwareDecoder::OpenAgain() {
  must_open_again_ = false;
  const ff::CodecParameters parameters(avcodec_parameters_alloc());
  if (!parameters || avcodec_parameters_from_context(parameters.get(), context_.get()) < 0)
    return {StatusCode::kOutOfMemory, "no memory for a decoder"};
  COSMOS_ASSIGN_OR_RETURN(context_, OpenContext(*parameters, options_, *watch_));
  return {};
}

Status SoftwareDecoder::Send(AVPacket& packet, int place, bool wanted) {
  if (must_open_again_) COSMOS_RETURN_IF_ERROR(OpenAgain());
  is_clean_ = false;
  if (context_->codec_id == AV_CODEC_ID_AV1) {
    const AccessUnit unit = units_.Read(packet);
    awaited_ += unit.has_picture && !unit.hidden ? 1 : 0;
  }
  if (context_->codec_id == AV_CODEC_ID_MJPEG) COSMOS_RETURN_IF_ERROR(StripJpegMetadata(packet));
  COSMOS_RETURN_IF_ERROR(watch_->Admit(context_->codec_id, units_.CountUnits(packet)));
  context_->skip_frame = wanted || !can_skip_ ? AVDISCARD_DEFAULT : AVDISCARD_NONREF;
  // Decoders pass a packet's pts on to its picture without looking at it, so it can carry the place: the
  // match is exact whatever the container's times are.
  packet.pts = place;
  packet.dts = AV_NOPTS_VALUE;
  return CheckResult(avcodec_send_packet(context_.get(), &packet));
}

// Each picture of Motion JPEG is a whole JPEG file, with any metadata that such a file can hold.
Status SoftwareDecoder::StripJpegMetadata(AVPacket& packet) {
  if (av_packet_make_writable(&packet) < 0) return {StatusCode::kOutOfMemory, "no memory for a packet"};
  const std::span file(packet.data, static_cast<std::size_t>(packet.size));
  const auto kept = StripMetadata(ImageFormat::kJpeg, file, packet.data);
  if (!kept.ok()) return kept.status();
  av_shrink_packet(&packet, static_cast<int>(kept.value()));
  return {};
}

// Counts damage; returns any other failure as an error.
Status SoftwareDecoder::CheckResult(int error) {
  if (error >= 0 || error == AVERROR_EOF) return {};
  if (Status status = watch_->Check(); !status.ok()) return status;
  if (error == AVERROR(ENOMEM)) return {StatusCode::kOutOfMemory, "no memory to decode"};
  if (error == AVERROR(EAGAIN))
    return {StatusCode::kInternal, "a packet was sent before all pictures were received"};
  ++refused_;
  ++awaited_;  // which is not 0 any more until Reset
  refusal_ = error;
  return {};
}

Status SoftwareDecoder::Drain() { return CheckResult(avcodec_send_packet(context_.get(), nullptr)); }

Result<std::optional<Picture>> SoftwareDecoder::Receive() {
  // Each failure uses up one of the pictures in flight, which bounds the attempts.
  for (int attempts = 0; attempts <= delay(); ++attempts) {
    Picture picture{ff::Frame(av_frame_alloc())};
    if (!picture.frame) return Status(StatusCode::kOutOfMemory, "no memory for a picture");
    const int error = avcodec_receive_frame(context_.get(), picture.frame.get());
    is_clean_ = error == AVERROR_EOF && awaited_ == 0;
    if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) break;
    if (Status status = CheckResult(error); !status.ok()) return status;
    if (error < 0) continue;
    COSMOS_RETURN_IF_ERROR(watch_->CheckGuard());
    --awaited_;
    picture.place = static_cast<int>(picture.frame->pts);
    // The H.264 decoder marks pictures as corrupt until its first recovery point, complete ones too.
    const bool is_corrupt =
        context_->codec_id != AV_CODEC_ID_H264 && (picture.frame->flags & AV_FRAME_FLAG_CORRUPT) != 0;
    picture.damaged = picture.frame->decode_error_flags != 0 || is_corrupt;
    return std::optional(std::move(picture));
  }
  return std::optional<Picture>();
}

// dav1d 1.0 with several threads may wait for ever if it is used again after it was flushed during a picture
// or after damage, which it does not always report. A new decoder takes a tenth of the time of a group of
// pictures.
void SoftwareDecoder::Reset() {
  const bool may_wait = context_->codec_id == AV_CODEC_ID_AV1 && context_->thread_count > 1;
  must_open_again_ = must_open_again_ || (may_wait && !is_clean_);
  if (!must_open_again_) avcodec_flush_buffers(context_.get());
  is_clean_ = true;
  awaited_ = 0;
}

int SoftwareDecoder::delay() const { return context_->has_b_frames + context_->thread_count - 1; }

}  // namespace cosmos
