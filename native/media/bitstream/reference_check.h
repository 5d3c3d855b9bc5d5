// Whether pictures that a picture is predicted from have been lost. libavcodec takes others for them and says
// so in its log only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/h264_headers.h"
#include "media/bitstream/hevc_headers.h"

namespace cosmos {

class ReferenceCheck {
 public:
  explicit ReferenceCheck(const AVCodecParameters& parameters);

  // Packets in decoding order. True where pictures are missing between the packet and those before it, or
  // among those that it refers to: it, and what follows up to the next keyframe, may lean on others. Knows
  // H.264 and HEVC; of other codecs it says false.
  bool MissesPictures(const AVPacket& packet);
  // The next packet is the first that is decoded.
  void Reset();

 private:
  void Configure(std::span<const std::uint8_t> extradata);
  bool MissesH264(std::span<const std::uint8_t> unit);
  bool MissesHevc(std::span<const std::uint8_t> unit);
  std::int64_t OrderOf(const HevcSlice& slice);
  bool Keep(const HevcSlice& slice, std::int64_t order);

  AVCodecID codec_;
  int length_bytes_ = 0;  // of the length before each NAL unit; 0: start codes
  H264Headers h264_;
  HevcHeaders hevc_;
  std::optional<std::uint32_t> frame_number_;  // H.264: of the last picture that others refer to
  // HEVC:
  bool begins_ = true;              // the next picture is the first of a sequence
  bool skips_leading_ = false;      // pictures that lean on some before the last keyframe are not decoded
  std::int64_t anchor_ = 0;         // the number in the order of presentation that others are counted from
  std::vector<std::int64_t> kept_;  // such numbers of the pictures that are kept for reference
};

}  // namespace cosmos
