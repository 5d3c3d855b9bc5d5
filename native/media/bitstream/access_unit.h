// Reads what the bitstream of a packet says about its picture. Containers store some of it too, but muxers
// set those flags arbitrarily, so they only serve as hints.
#pragma once

#include <cstdint>
#include <span>

#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/h264_headers.h"
#include "media/bitstream/hevc_headers.h"
#include "media/bitstream/vc1_headers.h"

namespace cosmos {

struct AccessUnit {
  // False when the packet holds only parameter sets, delimiters, messages, filler or a picture that was "not
  // coded", and yields no frame.
  bool has_picture = true;
  // True when the fields come from the bitstream, false when they come from the container.
  bool read = true;
  // Its only picture is never shown: VP8, VP9 and HEVC store such pictures as references for others.
  bool hidden = false;
  // Decoding can begin here: pictures that follow it both in decoding and presentation order are complete.
  bool random_access = false;
  // The picture itself is complete, but later ones may refer to some before it: H.264 without an IDR picture
  // or a recovery point. Some muxers rightly mark such pictures as keyframes.
  bool intra = false;
  // Closed GOP: pictures that follow it in decoding order but are shown before it are complete, too.
  bool closed = false;
  // Picture order counts restart at this picture.
  bool restarts_order = false;
  // Picture order counts restart after this picture, which itself counts as 0:
  // memory_management_control_operation 5 of H.264.
  bool resets_order = false;
  // Decoders drop the RASL pictures of this one, wherever it is in the stream. HEVC.
  bool drops_rasl = false;
  // Decoders discard the earlier pictures that they have not shown yet: no_output_of_prior_pics_flag. HEVC.
  bool discards_earlier = false;
  // A B picture: shown before the picture that precedes it in decoding order. VC-1.
  bool bidirectional = false;
  // A RASL picture, dropped if the last random access point has `drops_rasl`. HEVC.
  bool is_rasl = false;
};

// What a packet holds that costs a decoder far more than its bytes.
struct UnitCount {
  // Slices of H.264, HEVC and VC-1, pictures of AV1: each can cost a pass over a whole picture. 1 for other
  // codecs.
  std::int64_t slices = 1;
  // Other units of H.264 and HEVC. libavcodec allocates kilobytes for every unit, and builds the tables of
  // every parameter set.
  std::int64_t others = 0;
};

class AccessUnitReader {
 public:
  explicit AccessUnitReader(const AVCodecParameters& parameters);
  // Of a stream whose parameter sets are in its packets.
  explicit AccessUnitReader(AVCodecID codec) : codec_(codec) {}

  // Reads as little of the packet as it needs, and only from its first `known` bytes and from `end`, its last
  // kEndBytes bytes where the caller has them. Falls back to the container's keyframe flag for unknown codecs
  // and when those bytes do not suffice.
  AccessUnit Read(const AVPacket& packet, std::int64_t known, std::span<const std::uint8_t> end = {});
  static constexpr std::size_t kEndBytes = 34;  // the longest index of a VP9 superframe
  AccessUnit Read(const AVPacket& packet) { return Read(packet, packet.size); }

  UnitCount CountUnits(const AVPacket& packet);
  UnitCount CountUnits(std::span<const std::uint8_t> packet) const;

 private:
  using Bytes = std::span<const std::uint8_t>;

  void Configure(Bytes extradata);
  AccessUnit ReadBytes(Bytes packet, Bytes end, std::int64_t size);
  AccessUnit ReadH264(Bytes packet);
  AccessUnit ReadHevc(Bytes packet);
  AccessUnit ReadMpeg4(Bytes packet);
  AccessUnit ReadVc1(Bytes packet);

  AVCodecID codec_;
  H264Headers h264_;
  HevcHeaders hevc_;
  Vc1Sequence vc1_;
  int length_bytes_ = 0;         // size of the length field of NAL units; 0: start codes
  int time_bits_ = 0;            // of vop_time_increment in MPEG-4; 0: not known yet
  bool sequence_ended_ = false;  // the next HEVC picture begins a new coded video sequence
};

}  // namespace cosmos
