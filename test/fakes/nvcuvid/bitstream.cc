// Facts about packets that the parser needs and libavcodec does not report.
#include "nvcuvid/state.h"

namespace fakes {
namespace {

// Calls `visit` with the position of each start code and of the byte after it.
template <typename Visit>
void ForEachUnit(Bytes data, Visit visit) {
  for (std::size_t i = 0; i + 3 < data.size(); ++i) {
    if (data[i] != 0 || data[i + 1] != 0 || data[i + 2] != 1) continue;
    visit(i > 0 && data[i - 1] == 0 ? i - 1 : i, i + 3);
    i += 2;
  }
}

bool IsPicture(AVCodecID codec, std::uint8_t first) {
  switch (codec) {
    case AV_CODEC_ID_H264: return (first & 31) >= 1 && (first & 31) <= 5;
    case AV_CODEC_ID_HEVC: return (first >> 1 & 63) < 32;
    case AV_CODEC_ID_MPEG4: return first == 0xb6;
    default: return first == 0x00;  // MPEG-1 and 2
  }
}

// A VP9 superframe ends with an index of its frames.
std::vector<Bytes> SplitSuperframe(Bytes data) {
  const std::uint8_t marker = data.empty() ? 0 : data.back();
  const std::size_t frames = (marker & 7) + 1U;
  const std::size_t size_bytes = (marker >> 3 & 3) + 1U;
  const std::size_t index_bytes = 2 + frames * size_bytes;
  if ((marker & 0xe0) != 0xc0 || data.size() < index_bytes || data[data.size() - index_bytes] != marker)
    return {data};
  std::vector<Bytes> pictures;
  std::size_t start = 0;
  for (std::size_t frame = 0; frame < frames; ++frame) {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < size_bytes; ++i)
      bytes |= std::size_t{data[data.size() - index_bytes + 1 + frame * size_bytes + i]} << (8 * i);
    if (start + bytes > data.size() - index_bytes) return {data};
    if (bytes > 0) pictures.push_back(data.subspan(start, bytes));
    start += bytes;
  }
  return pictures;
}

}  // namespace

bool HasStartCodes(AVCodecID codec) { return codec != AV_CODEC_ID_VP8 && codec != AV_CODEC_ID_VP9; }

bool HasPicture(AVCodecID codec, Bytes data) {
  if (!HasStartCodes(codec)) return !data.empty();
  bool found = false;
  ForEachUnit(data, [&](std::size_t, std::size_t unit) { found = found || IsPicture(codec, data[unit]); });
  return found;
}

bool IsRasl(AVCodecID codec, Bytes data) {
  bool rasl = false;
  if (codec != AV_CODEC_ID_HEVC) return rasl;
  ForEachUnit(data, [&](std::size_t, std::size_t unit) {
    const int type = data[unit] >> 1 & 63;
    rasl = rasl || type == 8 || type == 9;
  });
  return rasl;
}

bool IsReference(AVCodecID codec, Bytes data) {
  if (!HasStartCodes(codec)) return true;
  bool reference = true;
  bool found = false;
  ForEachUnit(data, [&](std::size_t, std::size_t unit) {
    if (found || !IsPicture(codec, data[unit])) return;
    found = true;
    const std::uint8_t first = data[unit];
    switch (codec) {
      case AV_CODEC_ID_H264: reference = (first & 0x60) != 0; break;
      case AV_CODEC_ID_HEVC: reference = (first >> 1 & 63) >= 16 || (first >> 1 & 1) != 0; break;
      case AV_CODEC_ID_MPEG4: reference = unit + 1 >= data.size() || data[unit + 1] >> 6 != 2; break;
      default: reference = unit + 2 >= data.size() || (data[unit + 2] >> 3 & 7) != 3; break;
    }
  });
  return reference;
}

std::vector<Bytes> SplitPictures(AVCodecID codec, Bytes data) {
  if (codec == AV_CODEC_ID_VP9) return SplitSuperframe(data);
  if (codec != AV_CODEC_ID_H264) return {data};
  // A slice that begins with the picture's first macroblock begins a frame or field. Units between it and the
  // slices before it belong to it.
  std::vector<std::size_t> starts = {0};
  std::size_t after_slices = 0;
  bool in_picture = false;
  ForEachUnit(data, [&](std::size_t code, std::size_t unit) {
    const bool slice = IsPicture(codec, data[unit]);
    if (!slice) {
      if (in_picture && after_slices == 0) after_slices = code;
      return;
    }
    const bool begins = unit + 1 < data.size() && (data[unit + 1] & 0x80) != 0;
    if (begins && in_picture) starts.push_back(after_slices != 0 ? after_slices : code);
    in_picture = true;
    after_slices = 0;
  });
  std::vector<Bytes> pictures;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::size_t end = i + 1 < starts.size() ? starts[i + 1] : data.size();
    pictures.push_back(data.subspan(starts[i], end - starts[i]));
  }
  return pictures;
}

}  // namespace fakes
