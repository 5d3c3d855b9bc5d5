#include "media/decode/software_decoder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "media/bitstream/picture_parser.h"
#include "media/still/picture_file.h"

namespace cosmos {
namespace {

constexpr int kMaxThreads = 64;

// The most pictures that a decoder of the codec holds back to put them in order. Told more, libavcodec's
// H.264 decoder ends the process; those that are not here know by themselves.
int MostReordered(AVCodecID codec) {
  switch (codec) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC: return 16;
    default: return 1;
  }
}

}  // namespace

Result<std::unique_ptr<SoftwareDecoder>> SoftwareDecoder::Open(const AVCodecParameters& parameters,
                                                               const SoftwareDecoderOptions& options) {
  const std::string name = avcodec_get_name(parameters.codec_id);
  const AVCodec* codec = ff::FindDecoder(parameters.codec_id);
  if (!codec) {
    return Status(StatusCode::kMedia,
                  "the video is " + name +
                      ", which is not decoded here (h264, hevc, av1, vp8, "
                      "vp9, vc1, wmv1 to 3, mpeg4, mpeg2video, mpeg1video, mjpeg, prores, "
                      "theora, ffv1, dvvideo, rawvideo, gif, apng)")
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
  // After a seek to an open GOP, H.264 pictures may come that are not whole. The index knows which those are;
  // left to itself the decoder also withholds whole ones that it has in hand when it is drained.
  if (!options.whole_only) context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
  // Cropped on the left as the stream says: aligned pictures would show up to 31 columns that are cropped.
  context->flags |= AV_CODEC_FLAG_UNALIGNED;
  // What the index measured, where neither container nor stream say how far pictures are reordered: a decoder
  // that holds back too few drops those that come late. Both come from the file.
  context->has_b_frames = std::clamp(std::max(context->has_b_frames, options.reorder_depth), 0,
                                     MostReordered(parameters.codec_id));
  auto watch = std::make_unique<DecodeWatch>(options.limits, options.guard);
  watch->Attach(*context);
  const int error = avcodec_open2(context.get(), codec, nullptr);
  if (error < 0) {
    return Status(error == AVERROR(ENOMEM) ? StatusCode::kOutOfMemory : StatusCode::kMedia,
                  "the " + name + " decoder refused the stream's parameters")
        .With("codec", name)
        .With("reason", ff::ErrorName(error));
  }
  return std::unique_ptr<SoftwareDecoder>(
      new SoftwareDecoder(std::move(context), std::move(watch), parameters));
}

SoftwareDecoder::SoftwareDecoder(ff::CodecContext context, std::unique_ptr<DecodeWatch> watch,
                                 const AVCodecParameters& parameters)
    : watch_(std::move(watch)),
      context_(std::move(context)),
      units_(parameters),
      can_skip_(CanSkipNonReference(parameters)) {}

Status SoftwareDecoder::Send(AVPacket& packet, int place, bool wanted) {
  if (context_->codec_id == AV_CODEC_ID_MJPEG) COSMOS_RETURN_IF_ERROR(KeepPixels(packet));
  COSMOS_RETURN_IF_ERROR(watch_->Admit(context_->codec_id, units_.CountSlices(packet)));
  context_->skip_frame = wanted || !can_skip_ ? AVDISCARD_DEFAULT : AVDISCARD_NONREF;
  // Decoders hand a packet's pts through to its picture and look at nothing in it: so it can carry the place,
  // and the match is exact whatever the container's times are.
  packet.pts = place;
  packet.dts = AV_NOPTS_VALUE;
  return Judge(avcodec_send_packet(context_.get(), &packet));
}

// A picture of Motion JPEG is a file of its own, with all that can be in one.
Status SoftwareDecoder::KeepPixels(AVPacket& packet) {
  if (av_packet_make_writable(&packet) < 0) return {StatusCode::kOutOfMemory, "no memory for a packet"};
  const std::span file(packet.data, static_cast<std::size_t>(packet.size));
  const auto kept = CopyPixels(ImageFormat::kJpeg, file, packet.data);
  if (!kept.ok()) return kept.status();
  av_shrink_packet(&packet, static_cast<int>(kept.value()));
  return {};
}

// Damage is counted, and everything else that failed is an error.
Status SoftwareDecoder::Judge(int error) {
  if (error >= 0 || error == AVERROR_EOF) return {};
  if (Status status = watch_->Check(); !status.ok()) return status;
  if (error == AVERROR(ENOMEM)) return {StatusCode::kOutOfMemory, "no memory to decode"};
  if (error == AVERROR(EAGAIN))
    return {StatusCode::kInternal, "a decoder was sent to before it was received from"};
  ++refused_;
  refusal_ = error;
  return {};
}

Status SoftwareDecoder::Drain() { return Judge(avcodec_send_packet(context_.get(), nullptr)); }

Result<std::optional<Picture>> SoftwareDecoder::Receive() {
  // Each failure uses up one of the pictures that are in flight.
  for (int attempts = 0; attempts <= delay(); ++attempts) {
    Picture picture{ff::Frame(av_frame_alloc())};
    if (!picture.frame) return Status(StatusCode::kOutOfMemory, "no memory for a picture");
    const int error = avcodec_receive_frame(context_.get(), picture.frame.get());
    if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) break;
    if (Status status = Judge(error); !status.ok()) return status;
    if (error < 0) continue;
    COSMOS_RETURN_IF_ERROR(watch_->CheckGuard());
    picture.place = static_cast<int>(picture.frame->pts);
    // H.264's decoder calls all pictures corrupt that come before it is sure of itself, whole ones too.
    const bool is_corrupt =
        context_->codec_id != AV_CODEC_ID_H264 && (picture.frame->flags & AV_FRAME_FLAG_CORRUPT) != 0;
    picture.damaged = picture.frame->decode_error_flags != 0 || is_corrupt;
    return std::optional(std::move(picture));
  }
  return std::optional<Picture>();
}

void SoftwareDecoder::Reset() { avcodec_flush_buffers(context_.get()); }

int SoftwareDecoder::delay() const { return context_->has_b_frames + context_->thread_count - 1; }

}  // namespace cosmos
