#include "media/vp9_header.h"

#include <array>

namespace cosmos {
namespace {

// Bits of a header, most significant first; zeros after its end.
class BitReader {
 public:
  explicit BitReader(std::span<const std::uint8_t> data) : data_(data) {}

  unsigned Read(int count) {
    unsigned value = 0;
    for (int i = 0; i < count; ++i, ++position_) {
      const std::size_t byte = position_ / 8;
      const unsigned bit = byte < data_.size() ? (data_[byte] >> (7 - position_ % 8)) & 1U : 0U;
      value = value << 1 | bit;
    }
    return value;
  }

 private:
  std::span<const std::uint8_t> data_;
  std::size_t position_ = 0;
};

constexpr unsigned kFrameMarker = 2;
constexpr unsigned kSyncCode = 0x498342;
constexpr unsigned kRgb = 7;

// color_config() of the VP9 bitstream specification, section 6.2.
Vp9Colour ReadColour(BitReader& bits, unsigned profile) {
  if (profile >= 2) bits.Read(1);  // 10 or 12 bits
  static constexpr std::array kMatrices = {AVCOL_SPC_UNSPECIFIED, AVCOL_SPC_BT470BG,   AVCOL_SPC_BT709,
                                           AVCOL_SPC_SMPTE170M,   AVCOL_SPC_SMPTE240M, AVCOL_SPC_BT2020_NCL,
                                           AVCOL_SPC_RESERVED,    AVCOL_SPC_RGB};
  const unsigned matrix = bits.Read(3);
  if (matrix == kRgb) return {AVCOL_SPC_RGB, AVCOL_RANGE_JPEG};
  return {kMatrices[matrix], bits.Read(1) != 0 ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG};
}

}  // namespace

std::optional<Vp9Colour> ColourOfVp9(std::span<const std::uint8_t> packet) {
  BitReader bits(packet);
  if (bits.Read(2) != kFrameMarker) return std::nullopt;
  const unsigned low = bits.Read(1);
  const unsigned profile = low | bits.Read(1) << 1;
  if (profile == 3) bits.Read(1);
  if (bits.Read(1) != 0) return std::nullopt;  // shows a picture that is there already
  const bool keyframe = bits.Read(1) == 0;
  const bool shown = bits.Read(1) != 0;
  const bool error_resilient = bits.Read(1) != 0;
  if (keyframe) {
    if (bits.Read(24) != kSyncCode) return std::nullopt;
    return ReadColour(bits, profile);
  }
  const bool intra_only = !shown && bits.Read(1) != 0;
  if (!intra_only) return std::nullopt;
  if (!error_resilient) bits.Read(2);  // reset_frame_context
  if (bits.Read(24) != kSyncCode) return std::nullopt;
  // Profile 0 has no room for colours there; the specification says BT.601, limited.
  if (profile == 0) return Vp9Colour{AVCOL_SPC_BT470BG, AVCOL_RANGE_MPEG};
  return ReadColour(bits, profile);
}

}  // namespace cosmos
