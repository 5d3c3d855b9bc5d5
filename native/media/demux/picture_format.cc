#include "media/demux/picture_format.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "media/bitstream/h264_headers.h"

namespace cosmos {
namespace {

using Bytes = std::span<const std::uint8_t>;

// The first SPS in avcC extradata.
std::optional<H264Sps> SequenceOf(Bytes avcc) {
  constexpr std::size_t kFirstSet = 9;  // after version, profile, level, lengths, count and the set's header
  return ReadH264Sps(avcc.subspan(std::min(kFirstSet, avcc.size())));
}

std::optional<PictureFormat> OfAvc(Bytes avcc) {
  const auto sequence = SequenceOf(avcc);
  if (!sequence || sequence->separate_colour_planes) return std::nullopt;
  return PictureFormat{.chroma = sequence->chroma, .bit_depth = sequence->bit_depth};
}

std::optional<PictureFormat> OfHevc(Bytes hvcc) {
  constexpr std::size_t kChroma = 16;
  constexpr std::size_t kDepth = 17;
  if (hvcc.size() <= kDepth) return std::nullopt;
  return PictureFormat{.chroma = hvcc[kChroma] & 3, .bit_depth = 8 + (hvcc[kDepth] & 7)};
}

std::optional<PictureFormat> OfAv1(Bytes av1c) {
  if (av1c.size() < 3) return std::nullopt;
  const unsigned flags = av1c[2];
  PictureFormat format;
  format.bit_depth = (flags & 0x40) == 0 ? 8 : (flags & 0x20) != 0 ? 12 : 10;
  if ((flags & 0x10) != 0) {
    format.chroma = 0;
  } else {
    format.chroma = (flags & 0x08) == 0 ? 3 : (flags & 0x04) == 0 ? 2 : 1;
  }
  return format;
}

std::optional<PictureFormat> OfPixelFormat(AVPixelFormat pixels) {
  const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(pixels);
  if (!descriptor) return std::nullopt;
  PictureFormat format;
  format.bit_depth = descriptor->comp[0].depth;
  format.rgb = (descriptor->flags & AV_PIX_FMT_FLAG_RGB) != 0;
  if (descriptor->nb_components < 3) {
    format.chroma = 0;
  } else if (descriptor->log2_chroma_w == 0) {
    format.chroma = 3;
  } else {
    format.chroma = descriptor->log2_chroma_h == 0 ? 2 : 1;
  }
  return format;
}

}  // namespace

std::optional<PictureFormat> PictureFormatOf(const AVCodecParameters& parameters) {
  const Bytes extradata(parameters.extradata, static_cast<std::size_t>(parameters.extradata_size));
  const bool boxed = !extradata.empty() && extradata[0] == 1;  // avcC or hvcC, not start codes
  switch (boxed ? parameters.codec_id : AV_CODEC_ID_NONE) {
    case AV_CODEC_ID_H264: return OfAvc(extradata);
    case AV_CODEC_ID_HEVC: return OfHevc(extradata);
    default: break;
  }
  if (parameters.codec_id == AV_CODEC_ID_AV1 && !extradata.empty() && extradata[0] == 0x81)
    return OfAv1(extradata);
  return OfPixelFormat(static_cast<AVPixelFormat>(parameters.format));
}

bool MayHaveFields(const AVCodecParameters& parameters) {
  if (parameters.codec_id != AV_CODEC_ID_H264) return false;
  const Bytes extradata(parameters.extradata, static_cast<std::size_t>(parameters.extradata_size));
  if (extradata.empty() || extradata[0] != 1) return true;
  const auto sequence = SequenceOf(extradata);
  return !sequence || !sequence->frames_only;
}

std::string DescribeFormat(int chroma, int bit_depth) {
  constexpr std::array kChroma = {"4:0:0", "4:2:0", "4:2:2", "4:4:4"};
  return std::to_string(bit_depth) + "-bit " + kChroma.at(chroma & 3);
}

}  // namespace cosmos
