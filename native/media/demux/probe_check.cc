#include "media/demux/probe_check.h"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "media/bitstream/access_unit.h"
#include "media/bitstream/hevc_headers.h"
#include "media/bitstream/nal_units.h"
#include "media/limits/decode_watch.h"
#include "media/limits/job_memory.h"

namespace cosmos {
namespace {

// Of any pixel format, with what a decoder adds: four components of 16 bits, as in ProRes.
constexpr std::int64_t kMaxPixelBytes = 8;

// What all decoders of one probing may keep. A job may use the overhead, too.
std::int64_t MaxProbedBytes(const DecodeLimits& limits) {
  return std::min(limits.max_bytes, std::int64_t{1} << 50) + JobMemory::kOverhead;
}

bool HasSlices(AVCodecID codec) {
  return codec == AV_CODEC_ID_H264 || codec == AV_CODEC_ID_HEVC || codec == AV_CODEC_ID_VC1 ||
         codec == AV_CODEC_ID_AV1;
}

// The size of its pictures as far as known before decoding, or 0.
std::int64_t PixelsOf(const AVStream& stream) {
  const AVCodecParserContext* parser = av_stream_get_parser(&stream);
  if (parser && parser->width > 0) {
    const std::int64_t coded = std::int64_t{parser->coded_width} * parser->coded_height;
    return std::max(coded, std::int64_t{parser->width} * parser->height);  // cropping costs no memory less
  }
  return std::int64_t{stream.codecpar->width} * stream.codecpar->height;
}

using Bytes = std::span<const std::uint8_t>;

// What FFmpeg's decoder of one stream may keep in memory while it probes.
class ProbedStream {
 public:
  explicit ProbedStream(const AVCodecParameters& parameters)
      : codec_(parameters.codec_id), reader_(parameters) {
    Configure({parameters.extradata, static_cast<std::size_t>(parameters.extradata_size)});
  }

  void Add(const AVStream& stream, const AVPacket& packet) {
    // FFmpeg closes the parser before it returns the last packets.
    pixels_ = std::max(pixels_, PixelsOf(stream));
    ++packets_;
    std::size_t size = 0;
    const std::uint8_t* extradata = av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, &size);
    if (extradata) Configure({extradata, size});
    if (codec_ == AV_CODEC_ID_H264 || codec_ == AV_CODEC_ID_HEVC)
      ObserveSets({packet.data, static_cast<std::size_t>(std::max(packet.size, 0))});
  }

  std::int64_t pixels() const { return pixels_; }
  UnitCount CountUnits(const AVPacket& packet) { return reader_.CountUnits(packet); }

  // Probing ends with the first picture, which tells the pixel format. But of H.264 it decodes about twenty
  // to guess the order of display, and of AV1 as many as are hidden.
  std::int64_t KeptBytes() const {
    constexpr std::int64_t kAv1Pictures = 10;
    constexpr std::int64_t kPictures = 2;
    const std::int64_t least = pixels_ * 2;
    switch (codec_) {
      case AV_CODEC_ID_H264:
        return std::max(h264_.picture_bytes(), least) *
               std::min<std::int64_t>(packets_, std::max(h264_.kept_pictures(), 1));
      case AV_CODEC_ID_HEVC: return std::max(hevc_.picture_bytes(), least) * std::min(packets_, kPictures);
      case AV_CODEC_ID_AV1: return pixels_ * kMaxPixelBytes * std::min(packets_, kAv1Pictures);
      default: return pixels_ * kMaxPixelBytes * std::min(packets_, kPictures);
    }
  }

 private:
  // Every set counts, not only the one that FFmpeg's parser uses. A packet is read as a decoder reads it: in
  // the other form, lengths and slices look like parameter sets of any size. FFmpeg's decoder of H.264 takes
  // a packet that begins with a start code, and with no length of one byte, for one that has start codes;
  // and packets after it, too.
  void ObserveSets(Bytes packet) {
    const auto number = [&](std::size_t at) {
      std::uint32_t value = 0;
      for (const std::uint8_t byte : packet.subspan(at, sizeof value)) value = value << 8 | byte;
      return value;
    };
    constexpr std::size_t kLeast = 9;
    has_start_codes_ = has_start_codes_ || length_bytes_ == 0 ||
                       (packet.size() >= kLeast && number(0) == 1 && number(5) > packet.size());
    if (has_start_codes_) ObserveUnits(packet, 0);
    if (length_bytes_ != 0) ObserveUnits(packet, length_bytes_);
  }

  void ObserveUnits(Bytes packet, int length_bytes) {
    ForEachUnit(packet, length_bytes, [this](Bytes unit) {
      if (codec_ == AV_CODEC_ID_H264)
        h264_.Observe(unit);
      else
        hevc_.Observe(unit);
      return true;
    });
  }

  void Configure(Bytes extradata) {
    if (codec_ == AV_CODEC_ID_H264) length_bytes_ = h264_.ReadExtradata(extradata);
    if (codec_ == AV_CODEC_ID_HEVC) length_bytes_ = hevc_.ReadExtradata(extradata);
  }

  AVCodecID codec_;
  AccessUnitReader reader_;
  H264Headers h264_;
  HevcHeaders hevc_;
  int length_bytes_ = 0;          // of the stream's form; 0: start codes
  bool has_start_codes_ = false;  // a packet of it had
  std::int64_t pixels_ = 0;
  std::int64_t packets_ = 0;
};

Status TooLarge(std::int64_t pixels, const DecodeLimits& limits) {
  return Status(StatusCode::kLimit, "pictures of " + std::to_string(pixels) +
                                        " pixels are larger than the limit maxPixels of " +
                                        std::to_string(limits.max_pixels))
      .With("pixels", static_cast<double>(pixels))
      .With("limit", static_cast<double>(limits.max_pixels));
}

Status TooMuchMemory(const DecodeLimits& limits) {
  return Status(StatusCode::kLimit, "the streams' pictures need more memory than the limit maxBytes of " +
                                        std::to_string(limits.max_bytes) + " bytes")
      .With("limit", static_cast<double>(limits.max_bytes));
}

}  // namespace

bool NeedsProbeCheck(const AVFormatContext& format) {
  if ((format.ctx_flags & AVFMTCTX_NOHEADER) != 0) return true;
  return std::ranges::any_of(std::span(format.streams, format.nb_streams), HasSlices,
                             [](const AVStream* stream) { return stream->codecpar->codec_id; });
}

std::int64_t MaxProbedPixels(const AVFormatContext& format, const DecodeLimits& limits) {
  const auto videos = std::ranges::count(std::span(format.streams, format.nb_streams), AVMEDIA_TYPE_VIDEO,
                                         [](const AVStream* stream) { return stream->codecpar->codec_type; });
  return MaxProbedBytes(limits) / (std::max<std::int64_t>(videos, 1) * 2 * kMaxPixelBytes);
}

Status CheckProbedPackets(AVFormatContext& format, const DecodeLimits& limits, const JobGuard& guard) {
  const ff::Packet packet(av_packet_alloc());
  if (!packet) return {StatusCode::kOutOfMemory, "no memory for a packet"};
  const int declared = static_cast<int>(format.nb_streams);
  std::map<std::pair<int, AVCodecID>, ProbedStream> streams;  // a stream's codec may change
  for (std::int64_t bytes = 0; bytes < format.probesize; bytes += packet->size) {
    COSMOS_RETURN_IF_ERROR(guard.Check());
    av_packet_unref(packet.get());
    const int error = av_read_frame(&format, packet.get());
    if (error == AVERROR(EAGAIN)) continue;
    if (error < 0) return {};  // probing will report the same error
    const AVStream& stream = *format.streams[packet->stream_index];
    if (stream.codecpar->codec_type != AVMEDIA_TYPE_VIDEO) continue;
    const std::pair key(packet->stream_index, stream.codecpar->codec_id);
    ProbedStream& seen = streams.try_emplace(key, *stream.codecpar).first->second;
    seen.Add(stream, *packet);
    if (packet->stream_index >= declared && seen.pixels() > limits.max_pixels)
      return TooLarge(seen.pixels(), limits);
    std::int64_t kept = 0;
    for (const auto& [name, other] : streams) kept += std::min(other.KeptBytes(), MaxProbedBytes(limits) + 1);
    if (kept > MaxProbedBytes(limits)) return TooMuchMemory(limits);
    if (!HasSlices(stream.codecpar->codec_id)) continue;
    const UnitCount units = seen.CountUnits(*packet);
    COSMOS_RETURN_IF_ERROR(DecodeWatch::CheckUnits(units));
    const std::int64_t slices = units.slices;
    const std::int64_t each =
        seen.pixels() > 0 ? seen.pixels() : std::max<std::int64_t>(limits.max_pixels, 1);
    if (slices > DecodeWatch::kMaxPacketPixels / each) return DecodeWatch::TooManySlices(slices, each);
  }
  return {};
}

}  // namespace cosmos
