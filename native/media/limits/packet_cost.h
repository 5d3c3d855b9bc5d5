// Bounds what one packet may cost a decoder that nothing stops within a packet and that asks for no memory by
// itself: NVIDIA's parser, and the hardware behind it. libavcodec has a DecodeWatch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "base/status.h"
#include "media/bitstream/access_unit.h"
#include "media/clip_types.h"
#include "media/limits/decode_watch.h"

namespace cosmos {

class PacketCost {
 public:
  // `pixels`: of a picture, as the container says; 0: not known. H.264 and HEVC come with start codes.
  PacketCost(AVCodecID codec, std::int64_t pixels, const DecodeLimits& limits)
      : units_(codec), unknown_pixels_(std::max<std::int64_t>(limits.max_pixels, 1)), pixels_(pixels) {}

  // For each packet before it is sent.
  Status Add(std::span<const std::uint8_t> packet) {
    // The most of all packets: with pictures in flight, the packet of a picture is unknown.
    const UnitCount units = units_.CountUnits(packet);
    COSMOS_RETURN_IF_ERROR(DecodeWatch::CheckUnits(units));
    max_slices_ = std::max(max_slices_, units.slices);
    COSMOS_RETURN_IF_ERROR(CheckSlices());
    // No picture takes more bytes than its samples without compression, four of 16 bits at most.
    constexpr std::int64_t kPixelBytes = 8;
    constexpr std::int64_t kHeaders = 1 << 20;
    const std::int64_t most = pixels() * kPixelBytes + kHeaders;
    if (std::cmp_less_equal(packet.size(), most)) return {};
    return Status(StatusCode::kLimit, "a packet of " + std::to_string(packet.size()) +
                                          " bytes is larger than its picture without compression")
        .With("limit", static_cast<double>(most));
  }

  // For each size that the bitstream declares.
  Status SetPixels(std::int64_t pixels) {
    pixels_ = std::max(pixels_, pixels);
    return CheckSlices();
  }

 private:
  std::int64_t pixels() const { return pixels_ > 0 ? pixels_ : unknown_pixels_; }

  Status CheckSlices() const {
    if (max_slices_ <= DecodeWatch::kMaxPacketPixels / pixels()) return {};
    return DecodeWatch::TooManySlices(max_slices_, pixels());
  }

  AccessUnitReader units_;
  std::int64_t unknown_pixels_;
  std::int64_t pixels_;  // of the largest picture so far
  std::int64_t max_slices_ = 1;
};

}  // namespace cosmos
