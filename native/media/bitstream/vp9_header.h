// Reads what VP9 says of its pictures: whether they are shown, and their colours; and the colours of VP8.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ffmpeg/ffmpeg.h"

namespace cosmos {

struct Vp9Picture {
  bool key = false;
  bool shown = false;
};

// Reads the beginning of a picture's header.
Vp9Picture ReadVp9Picture(std::span<const std::uint8_t> picture);

// A packet with several pictures: usually hidden ones and one that is shown.
struct Vp9Superframe {
  std::vector<std::uint32_t> sizes;  // of its pictures, in bytes; empty when they do not fit into the packet
};

// Reads the index at the end of a packet of `size` bytes, as libavcodec does; `end` is the packet or its last
// 34 bytes. Returns nothing when there is none.
std::optional<Vp9Superframe> ReadVp9Superframe(std::span<const std::uint8_t> end, std::int64_t size);

struct VpxColour {
  AVColorSpace matrix = AVCOL_SPC_UNSPECIFIED;
  AVColorRange range = AVCOL_RANGE_UNSPECIFIED;
};

// Reads it as libavcodec does from a packet whose first picture is a keyframe or intra-only. Returns nothing
// for damaged headers and for other packets, whose pictures inherit the colours of the last such one.
std::optional<VpxColour> ColourOfVp9(std::span<const std::uint8_t> packet);

// The same for VP8, whose keyframes state a range alone.
std::optional<VpxColour> ColourOfVp8(std::span<const std::uint8_t> packet);

}  // namespace cosmos
