#include "media/bitstream/vp9_header.h"

#include <array>

#include "media/bitstream/bit_reader.h"

namespace cosmos {
namespace {

constexpr unsigned kFrameMarker = 2;
constexpr unsigned kSyncCode = 0x498342;
constexpr unsigned kRgb = 7;

// color_config() of the VP9 bitstream specification, section 6.2.
VpxColour ReadColour(BitReader& bits, unsigned profile) {
  if (profile >= 2) bits.Bits(1);  // 10 or 12 bits
  static constexpr std::array kMatrices = {AVCOL_SPC_UNSPECIFIED, AVCOL_SPC_BT470BG,   AVCOL_SPC_BT709,
                                           AVCOL_SPC_SMPTE170M,   AVCOL_SPC_SMPTE240M, AVCOL_SPC_BT2020_NCL,
                                           AVCOL_SPC_RESERVED,    AVCOL_SPC_RGB};
  const unsigned matrix = bits.Bits(3);
  if (matrix == kRgb) return {AVCOL_SPC_RGB, AVCOL_RANGE_JPEG};
  return {kMatrices[matrix], bits.Bits(1) != 0 ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG};
}

}  // namespace

Vp9Picture ReadVp9Picture(std::span<const std::uint8_t> picture) {
  constexpr std::uint32_t kProfileWithReservedBit = 3;
  BitReader bits(picture);
  bits.Skip(2);  // frame_marker
  const std::uint32_t low = bits.Bit();
  if ((bits.Bit() << 1 | low) == kProfileWithReservedBit) bits.Skip(1);
  const bool shows_existing = bits.Bit() != 0;
  if (shows_existing) return {.shown = true};
  const bool key = bits.Bit() == 0;
  return {.key = key, .shown = bits.Bit() != 0};
}

std::optional<Vp9Superframe> ReadVp9Superframe(std::span<const std::uint8_t> end, std::int64_t size) {
  if (end.empty()) return std::nullopt;
  const unsigned marker = end.back();
  if ((marker & 0xe0) != 0xc0) return std::nullopt;
  const std::size_t length_bytes = 1 + (marker >> 3 & 3);
  const std::size_t count = 1 + (marker & 7);
  const std::size_t index = 2 + count * length_bytes;
  if (end.size() < index || end[end.size() - index] != marker) return std::nullopt;
  Vp9Superframe superframe;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bytes = 0;
    for (std::size_t byte = 0; byte < length_bytes; ++byte) {
      bytes |= std::uint32_t{end[end.size() - index + 1 + i * length_bytes + byte]} << (8 * byte);
    }
    total += bytes;
    if (bytes == 0 || total > size - static_cast<std::int64_t>(index)) return Vp9Superframe();
    superframe.sizes.push_back(bytes);
  }
  return superframe;
}

std::optional<VpxColour> ColourOfVp9(std::span<const std::uint8_t> packet) {
  BitReader bits(packet);
  if (bits.Bits(2) != kFrameMarker) return std::nullopt;
  const unsigned low = bits.Bits(1);
  const unsigned profile = low | bits.Bits(1) << 1;
  if (profile == 3) bits.Bits(1);
  if (bits.Bits(1) != 0) return std::nullopt;  // show_existing_frame
  const bool keyframe = bits.Bits(1) == 0;
  const bool shown = bits.Bits(1) != 0;
  const bool error_resilient = bits.Bits(1) != 0;
  if (keyframe) {
    if (bits.Bits(24) != kSyncCode) return std::nullopt;
    return ReadColour(bits, profile);
  }
  const bool intra_only = !shown && bits.Bits(1) != 0;
  if (!intra_only) return std::nullopt;
  if (!error_resilient) bits.Bits(2);  // reset_frame_context
  if (bits.Bits(24) != kSyncCode) return std::nullopt;
  // Profile 0 does not code the colours here; the specification defines them as BT.601, limited range.
  if (profile == 0) return VpxColour{AVCOL_SPC_BT470BG, AVCOL_RANGE_MPEG};
  return ReadColour(bits, profile);
}

std::optional<VpxColour> ColourOfVp8(std::span<const std::uint8_t> packet) {
  constexpr std::size_t kFrameTag = 3;
  constexpr std::size_t kCoded = kFrameTag + 7;  // after the start code and the size
  if (packet.size() <= kCoded || (packet[0] & 1) != 0) return std::nullopt;
  // The first two bits of an arithmetic coder, each as likely as not: color_space and clamping_type. Of the
  // range of 255 a zero takes the lower 128 parts; then 128 are left, of which the next one takes 64. A one
  // leaves 127, doubled to 254, of which a zero takes 127.
  constexpr int kHalf = 128;
  int value = packet[kCoded] << 8 | (packet.size() > kCoded + 1 ? packet[kCoded + 1] : 0);
  int range = kHalf;
  if (value >= kHalf << 8) {
    value = (value - (kHalf << 8)) << 1;
    range = 254;
  }
  const int split = 1 + ((range - 1) * kHalf >> 8);
  const bool full = value >= split << 8;
  return VpxColour{AVCOL_SPC_BT470BG, full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG};
}

}  // namespace cosmos
