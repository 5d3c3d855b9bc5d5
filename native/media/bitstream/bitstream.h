// The little that must be read from packets themselves.
#pragma once

#include <cstdint>
#include <span>

#include "ffmpeg/ffmpeg.h"

namespace cosmos {

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
  void Begin(std::span<const std::uint8_t> extradata);

  ff::CodecContext context_;
  ff::Parser parser_;
};

}  // namespace cosmos
