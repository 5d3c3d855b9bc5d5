#include "media/still/still_image.h"

#include <limits>
#include <string>
#include <utility>

#include "ffmpeg/ffmpeg.h"
#include "image/to_rgb.h"
#include "media/limits/decode_watch.h"
#include "media/still/image_header.h"
#include "media/still/strip_metadata.h"

namespace cosmos {
namespace {

const char* DecoderName(ImageFormat format) {
  switch (format) {
    case ImageFormat::kJpeg: return "mjpeg";
    case ImageFormat::kPng: return "png";
    case ImageFormat::kWebp: return "webp";
  }
  return "";
}

Result<ImageHeader> CheckHeader(std::span<const std::uint8_t> bytes, const DecodeLimits& limits) {
  const auto header = ReadImageHeader(bytes);
  if (!header) return Status(StatusCode::kMedia, "not a JPEG, PNG or WebP picture, or a truncated one");
  if (header->animated) {
    return Status(StatusCode::kMedia, "the picture is animated; a still picture is needed")
        .With("codec", DecoderName(header->format));
  }
  const std::int64_t pixels = std::int64_t{header->width} * header->height;
  if (pixels > limits.max_pixels) {
    return Status(StatusCode::kLimit,
                  "a picture of " + std::to_string(header->width) + " x " + std::to_string(header->height) +
                      " pixels is larger than the limit maxPixels of " + std::to_string(limits.max_pixels))
        .With("pixels", static_cast<double>(pixels))
        .With("limit", static_cast<double>(limits.max_pixels));
  }
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max() / 2)) {
    return Status(StatusCode::kLimit,
                  "a picture file of " + std::to_string(bytes.size()) + " bytes is too large");
  }
  return *header;
}

// A lossless WebP may begin with 65,536 groups of code tables, which take a decoder hundreds of megabytes and
// are of use only to a picture of a million pixels. So the file must not be longer than its pixels without
// compression.
Status CheckLength(const ImageHeader& header, std::size_t bytes) {
  constexpr std::int64_t kPixelBytes = 6;
  constexpr std::int64_t kTables = 256 * 1024;
  const std::int64_t most = std::int64_t{header.width} * header.height * kPixelBytes + kTables;
  if (header.format != ImageFormat::kWebp || static_cast<std::int64_t>(bytes) <= most) return {};
  return Status(StatusCode::kLimit, "a WebP picture of " + std::to_string(bytes) +
                                        " bytes is larger than its pixels without compression")
      .With("limit", static_cast<double>(most));
}

Status CannotDecode(const char* codec, int error) {
  return Status(StatusCode::kMedia, std::string("the ") + codec + " picture could not be decoded")
      .With("codec", codec)
      .With("reason", ff::ErrorName(error));
}

}  // namespace

Result<DecodedImage> DecodeImage(std::span<const std::uint8_t> bytes, const DecodeLimits& limits,
                                 const JobGuard& guard) {
  ff::SilenceLog();
  const auto header = CheckHeader(bytes, limits);
  if (!header.ok()) return header.status();
  const char* name = DecoderName(header->format);
  const AVCodec* codec = avcodec_find_decoder_by_name(name);
  if (!codec) {
    return Status(StatusCode::kMedia, std::string("this FFmpeg has no decoder for ") + name + " pictures")
        .With("codec", name);
  }

  DecodeWatch watch(limits, &guard);
  const ff::CodecContext context(avcodec_alloc_context3(codec));
  const ff::Packet packet(av_packet_alloc());
  const ff::Frame frame(av_frame_alloc());
  if (!context || !packet || !frame || av_new_packet(packet.get(), static_cast<int>(bytes.size())) < 0) {
    return Status(StatusCode::kOutOfMemory, "no memory to decode a picture");
  }
  const auto kept = StripMetadata(header->format, bytes, packet->data);
  if (!kept.ok()) return Status(kept.status()).With("codec", name);
  if (Status status = CheckLength(header.value(), kept.value()); !status.ok())
    return Status(std::move(status)).With("codec", name);
  av_shrink_packet(packet.get(), static_cast<int>(kept.value()));
  context->thread_count = 1;
  watch.Attach(*context);
  int error = avcodec_open2(context.get(), codec, nullptr);
  if (error >= 0) error = avcodec_send_packet(context.get(), packet.get());
  if (error >= 0) error = avcodec_send_packet(context.get(), nullptr);
  if (error >= 0) error = avcodec_receive_frame(context.get(), frame.get());
  if (Status status = watch.Check(); !status.ok()) return status;
  if (error < 0) return CannotDecode(name, error);

  COSMOS_ASSIGN_OR_RETURN(auto image, RgbConverter(UntaggedMatrix::kBt601).Convert(*frame));
  return DecodedImage{std::move(image), name, av_get_pix_fmt_name(static_cast<AVPixelFormat>(frame->format))};
}

}  // namespace cosmos
