#include "media/demux/probe_check.h"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "media/bitstream/access_unit.h"
#include "media/limits/decode_watch.h"

namespace cosmos {
namespace {

bool HasSlices(AVCodecID codec) {
  return codec == AV_CODEC_ID_H264 || codec == AV_CODEC_ID_HEVC || codec == AV_CODEC_ID_VC1 ||
         codec == AV_CODEC_ID_AV1;
}

// The size of its pictures as far as known before decoding, or 0.
std::int64_t PixelsOf(const AVStream& stream) {
  const AVCodecParserContext* parser = av_stream_get_parser(&stream);
  if (parser && parser->width > 0) return std::int64_t{parser->width} * parser->height;
  return std::int64_t{stream.codecpar->width} * stream.codecpar->height;
}

Status TooLarge(std::int64_t pixels, const DecodeLimits& limits) {
  return Status(StatusCode::kLimit, "pictures of " + std::to_string(pixels) +
                                        " pixels are larger than the limit maxPixels of " +
                                        std::to_string(limits.max_pixels))
      .With("pixels", static_cast<double>(pixels))
      .With("limit", static_cast<double>(limits.max_pixels));
}

}  // namespace

bool NeedsProbeCheck(const AVFormatContext& format) {
  if ((format.ctx_flags & AVFMTCTX_NOHEADER) != 0) return true;
  return std::ranges::any_of(std::span(format.streams, format.nb_streams), HasSlices,
                             [](const AVStream* stream) { return stream->codecpar->codec_id; });
}

Status CheckProbedPackets(AVFormatContext& format, const DecodeLimits& limits, const JobGuard& guard) {
  const ff::Packet packet(av_packet_alloc());
  if (!packet) return {StatusCode::kOutOfMemory, "no memory for a packet"};
  const int declared = static_cast<int>(format.nb_streams);
  struct Seen {
    AccessUnitReader reader;
    std::int64_t pixels;  // FFmpeg closes the parser before it returns the last packets
  };
  std::map<std::pair<int, AVCodecID>, Seen> streams;  // a stream's codec may change
  for (std::int64_t bytes = 0; bytes < format.probesize; bytes += packet->size) {
    COSMOS_RETURN_IF_ERROR(guard.Check());
    av_packet_unref(packet.get());
    const int error = av_read_frame(&format, packet.get());
    if (error == AVERROR(EAGAIN)) continue;
    if (error < 0) return {};  // probing will report the same error
    const AVStream& stream = *format.streams[packet->stream_index];
    if (stream.codecpar->codec_type != AVMEDIA_TYPE_VIDEO) continue;
    const std::pair key(packet->stream_index, stream.codecpar->codec_id);
    auto& [reader, pixels] =
        streams.try_emplace(key, Seen{AccessUnitReader(*stream.codecpar), 0}).first->second;
    pixels = std::max(pixels, PixelsOf(stream));
    if (packet->stream_index >= declared && pixels > limits.max_pixels) return TooLarge(pixels, limits);
    if (!HasSlices(stream.codecpar->codec_id)) continue;
    const std::int64_t slices = reader.CountSlices(*packet);
    const std::int64_t each = pixels > 0 ? pixels : std::max<std::int64_t>(limits.max_pixels, 1);
    if (slices > DecodeWatch::kMaxPacketPixels / each) return DecodeWatch::TooManySlices(slices, each);
  }
  return {};
}

}  // namespace cosmos
