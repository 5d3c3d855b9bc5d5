#include "media/picture_format.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace cosmos {
namespace {

using Bytes = std::span<const std::uint8_t>;

// Reads bits and Exp-Golomb numbers; past the end it reads zeros and remembers that.
class BitReader {
 public:
  explicit BitReader(Bytes bytes) : bytes_(bytes) {}

  unsigned Bit() {
    const std::size_t byte = position_ / 8;
    if (byte >= bytes_.size()) {
      overrun_ = true;
      return 0;
    }
    return (bytes_[byte] >> (7 - position_++ % 8)) & 1;
  }
  unsigned Golomb() {
    constexpr int kMostZeros = 31;
    int zeros = 0;
    while (Bit() == 0 && !overrun_ && zeros < kMostZeros) ++zeros;
    unsigned value = 1;
    for (int i = 0; i < zeros; ++i) value = value << 1 | Bit();
    return value - 1;
  }
  void SkipBits(int count) {
    while (count-- > 0) Bit();
  }
  void SkipGolombs(unsigned count) {
    while (count-- > 0 && !overrun_) Golomb();
  }
  bool overrun() const { return overrun_; }

 private:
  Bytes bytes_;
  std::size_t position_ = 0;
  bool overrun_ = false;
};

// The first sequence parameter set in "avcC" extradata, after its header, with the escape bytes taken out.
std::vector<std::uint8_t> SequenceParameterSet(Bytes avcc) {
  constexpr std::size_t kFirstSet = 8;  // after version, profile, level, lengths, count and the set's length
  constexpr std::size_t kEnough = 512;  // of which scaling lists are the most
  std::vector<std::uint8_t> set;
  for (std::size_t i = kFirstSet + 1; i < avcc.size() && set.size() < kEnough; ++i) {
    const std::size_t size = set.size();
    if (avcc[i] == 3 && size >= 2 && set[size - 1] == 0 && set[size - 2] == 0) continue;
    set.push_back(avcc[i]);
  }
  return set;
}

// Whether a sequence parameter set of this profile says how pictures are sampled.
bool ProfileSays(std::uint8_t profile) {
  constexpr std::array kProfilesThatSay = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
  return std::ranges::find(kProfilesThatSay, profile) != kProfilesThatSay.end();
}

void SkipScalingLists(BitReader& bits, int lists) {
  constexpr int kSmall = 6;  // the first ones are of 4 x 4, the rest of 8 x 8
  for (int list = 0; list < lists && !bits.overrun(); ++list) {
    if (bits.Bit() == 0) continue;
    // Signed steps modulo 256: at zero the rest repeats and is not written.
    int next = 8;
    for (int i = 0; i < (list < kSmall ? 16 : 64) && next != 0 && !bits.overrun(); ++i) {
      const auto code = static_cast<int>(bits.Golomb());
      next = (next + (code % 2 != 0 ? (code + 1) / 2 : -code / 2)) & 255;
    }
  }
}

// From the set's number on to where it says whether all pictures are whole frames.
bool AllAreFrames(BitReader& bits, bool says_format) {
  bits.Golomb();  // the set's number
  if (says_format) {
    const unsigned chroma = bits.Golomb();
    if (chroma == 3) bits.SkipBits(1);
    bits.SkipGolombs(2);  // bit depths
    bits.SkipBits(1);
    if (bits.Bit() != 0) SkipScalingLists(bits, chroma == 3 ? 12 : 8);
  }
  bits.Golomb();  // bits of a frame's number
  const unsigned order_type = bits.Golomb();
  if (order_type == 0) bits.Golomb();
  if (order_type == 1) {
    bits.SkipBits(1);
    bits.SkipGolombs(2);
    bits.SkipGolombs(bits.Golomb());
  }
  bits.Golomb();  // reference frames
  bits.SkipBits(1);
  bits.SkipGolombs(2);  // width, height
  const bool frames = bits.Bit() != 0;
  return frames && !bits.overrun();
}

std::optional<PictureFormat> OfAvc(Bytes avcc) {
  const std::vector<std::uint8_t> set = SequenceParameterSet(avcc);
  if (set.size() < 4) return std::nullopt;
  if (!ProfileSays(set[0])) return PictureFormat();
  BitReader bits(Bytes(set).subspan(3));
  bits.Golomb();  // the set's number
  PictureFormat format;
  format.chroma = static_cast<int>(bits.Golomb());
  const bool separate_planes = format.chroma == 3 && bits.Bit() != 0;
  format.bit_depth = 8 + static_cast<int>(bits.Golomb());
  if (bits.overrun() || format.chroma > 3 || separate_planes) return std::nullopt;
  return format;
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
  const bool boxed = !extradata.empty() && extradata[0] == 1;  // not start codes
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
  const std::vector<std::uint8_t> set = SequenceParameterSet(extradata);
  if (set.size() < 4) return true;
  BitReader bits(Bytes(set).subspan(3));
  return !AllAreFrames(bits, ProfileSays(set[0]));
}

std::string DescribeFormat(int chroma, int bit_depth) {
  constexpr std::array kChroma = {"4:0:0", "4:2:0", "4:2:2", "4:4:4"};
  return std::to_string(bit_depth) + "-bit " + kChroma.at(chroma & 3);
}

}  // namespace cosmos
