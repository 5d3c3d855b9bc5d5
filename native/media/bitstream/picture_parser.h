// Reads picture headers with FFmpeg's parsers, and what else a decoder needs to know of a packet.
#pragma once

#include <cstdint>
#include <span>

#include "ffmpeg/ffmpeg.h"

namespace cosmos {

// The offset of a packet's second field, with the units that belong to it, where the two fields of a picture
// are coded one after the other; otherwise the packet's size. H.264 with start codes, MPEG-1 and 2.
std::size_t SecondFieldOffset(AVCodecID codec, std::span<const std::uint8_t> packet);

// Whether skipping the pictures that are marked as non-reference leaves all others bit-identical.
bool CanSkipNonReference(const AVCodecParameters& parameters);

// Parses whole packets, one picture each.
class PictureParser {
 public:
  explicit PictureParser(const AVCodecParameters& parameters);
  // Returns the parser's state for the packet, valid until the next call; null for codecs without a parser in
  // FFmpeg.
  const AVCodecParserContext* Parse(const AVPacket& packet);

 private:
  void Configure(std::span<const std::uint8_t> extradata);

  ff::CodecContext context_;
  ff::Parser parser_;
};

}  // namespace cosmos
