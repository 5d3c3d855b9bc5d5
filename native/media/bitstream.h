// The little that must be read from packets themselves.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "media/ffmpeg.h"

namespace cosmos {

// Whether the packet's only picture is never shown: VP8 and VP9 store pictures that others refer to this way.
bool IsHidden(AVCodecID codec, std::span<const std::uint8_t> packet);

// For streams whose packets have no times: numbers that sort packets into presentation order, read from the
// picture order counts or picture types inside.
class PictureOrder {
 public:
  explicit PictureOrder(const AVCodecParameters& parameters);

  void Add(const AVPacket& packet);
  // One number per packet added. At a keyframe where they restart, they fall to or below what came before.
  std::vector<std::int64_t> Take();

 private:
  ff::CodecContext context_;
  ff::Parser parser_;
  std::vector<std::int64_t> numbers_;
  std::int64_t last_reference_ = -1;  // the index of the last picture that later B pictures precede on screen
};

}  // namespace cosmos
