// Detects that the reference pictures of a picture are missing. libavcodec substitutes others and only
// reports it in its log.
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

  // Takes packets in decoding order. Returns true when pictures are missing before the packet or among its
  // references: its picture and those up to the next keyframe may be predicted from substitutes. Knows H.264
  // and HEVC; returns false for other codecs.
  bool MissesPictures(const AVPacket& packet);
  // Must be called when decoding restarts: the next packet is the first one decoded.
  void Reset();

 private:
  void Configure(std::span<const std::uint8_t> extradata);
  bool MissesH264(std::span<const std::uint8_t> unit);
  bool MissesHevc(std::span<const std::uint8_t> unit);
  std::int64_t PocOf(const HevcSlice& slice);
  bool UpdateReferences(const HevcSlice& slice, std::int64_t order);

  AVCodecID codec_;
  int length_bytes_ = 0;  // size of the length field of NAL units; 0: start codes
  H264Headers h264_;
  HevcHeaders hevc_;
  std::optional<std::uint32_t> frame_num_;  // H.264: of the last reference picture
  // HEVC:
  bool starts_sequence_ = true;           // the next picture begins a coded video sequence
  bool skips_rasl_ = false;               // RASL pictures of the last IRAP picture are not decoded
  std::int64_t anchor_poc_ = 0;           // of prevTid0Pic, to which low bits are relative
  std::vector<std::int64_t> references_;  // picture order counts of the kept reference pictures
};

}  // namespace cosmos
