#include "media/bitstream/vp9_header.h"

#include <array>

#include "media/bitstream/bit_reader.h"

namespace cosmos {
namespace {

constexpr unsigned kFrameMarker = 2;
constexpr unsigned kSyncCode = 0x498342;
constexpr unsigned kRgb = 7;

// color_config() of the VP9 bitstream specification, section 6.2.
Vp9Colour ReadColour(BitReader& bits, unsigned profile) {
  if (profile >= 2) bits.Bits(1);  // 10 or 12 bits
  static constexpr std::array kMatrices = {AVCOL_SPC_UNSPECIFIED, AVCOL_SPC_BT470BG,   AVCOL_SPC_BT709,
                                           AVCOL_SPC_SMPTE170M,   AVCOL_SPC_SMPTE240M, AVCOL_SPC_BT2020_NCL,
                                           AVCOL_SPC_RESERVED,    AVCOL_SPC_RGB};
  const unsigned matrix = bits.Bits(3);
  if (matrix == kRgb) return {AVCOL_SPC_RGB, AVCOL_RANGE_JPEG};
  return {kMatrices[matrix], bits.Bits(1) != 0 ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG};
}

}  // namespace

std::optional<Vp9Colour> ColourOfVp9(std::span<const std::uint8_t> packet) {
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
  if (profile == 0) return Vp9Colour{AVCOL_SPC_BT470BG, AVCOL_RANGE_MPEG};
  return ReadColour(bits, profile);
}

}  // namespace cosmos
