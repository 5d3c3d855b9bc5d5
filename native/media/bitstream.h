// The little that must be read from packets themselves.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "media/ffmpeg.h"

namespace cosmos {

// Whether the packet's only picture is never shown: VP8 and VP9 store pictures that others refer to this way.
bool IsHidden(AVCodecID codec, std::span<const std::uint8_t> packet);

// Whether a packet that the container calls a keyframe is an intra picture. H.264 encoders that refresh
// pictures bit by bit mark the beginning of such a refresh as a keyframe, and some pictures after it are not
// whole yet.
bool IsIntra(const AVCodecParameters& parameters, const AVPacket& packet);

// Whether pictures that follow this keyframe, the first of its stream, and are shown before it can be
// decoded: they cannot when it begins an open GOP, whose other half is not there.
bool LeadingPicturesAreWhole(const AVCodecParameters& parameters, std::span<const std::uint8_t> keyframe);

// Where in a packet its second field begins, with what belongs to it, where fields are coded one after the
// other; the packet's size where they are not. H.264 with start codes, MPEG-1 and 2.
std::size_t SecondField(AVCodecID codec, std::span<const std::uint8_t> packet);

// Whether pictures that say of themselves that none refers to them can be skipped, and all others stay
// bit-identical.
bool SkipIsExact(const AVCodecParameters& parameters);

// Reads picture headers of whole packets.
class PictureParser {
 public:
  explicit PictureParser(const AVCodecParameters& parameters);
  // What the packet says, until the next call; null for codecs that FFmpeg has no parser for.
  const AVCodecParserContext* Parse(const AVPacket& packet);

 private:
  ff::CodecContext context_;
  ff::Parser parser_;
};

// For streams whose packets have no times: numbers that sort packets into presentation order, read from the
// picture order counts or picture types inside.
class PictureOrder {
 public:
  explicit PictureOrder(const AVCodecParameters& parameters)
      : codec_(parameters.codec_id), parser_(parameters) {}

  void Add(const AVPacket& packet);
  // One number per packet added. At a keyframe where they restart, they fall to or below what came before.
  std::vector<std::int64_t> Take();

 private:
  AVCodecID codec_;
  PictureParser parser_;
  std::vector<std::int64_t> numbers_;
  std::int64_t last_reference_ = -1;  // the index of the last picture that later B pictures precede on screen
};

}  // namespace cosmos
