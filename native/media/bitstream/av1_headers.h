// Reads which pictures an AV1 picture may be predicted from. AV1 Bitstream & Decoding Process Specification,
// sections 5.3 (OBUs), 5.5 (sequence header) and 5.9.2 (frame header).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "media/bitstream/bit_reader.h"

namespace cosmos {

namespace av1 {
inline constexpr int kSequenceHeader = 1;
inline constexpr int kFrameHeader = 3;
inline constexpr int kTileGroup = 4;
inline constexpr int kFrame = 6;
inline constexpr int kRedundantFrameHeader = 7;
inline constexpr int kSlots = 8;  // reference frames that a decoder keeps

inline bool BeginsPicture(int type) { return type == kFrameHeader || type == kFrame; }
inline bool IsOfPicture(int type) {
  return BeginsPicture(type) || type == kTileGroup || type == kRedundantFrameHeader;
}
}  // namespace av1

struct Av1Obu {
  int type = 0;
  int temporal_layer = 0;
  int spatial_layer = 0;
  std::span<const std::uint8_t> whole = {};    // with its header
  std::span<const std::uint8_t> payload = {};  // without
};

// Calls `take` with each OBU of a packet until it returns false.
template <typename Take>
void ForEachObu(std::span<const std::uint8_t> packet, Take take) {
  while (packet.size() >= 2) {
    Av1Obu obu{.type = packet[0] >> 3 & 15};
    const bool extension = (packet[0] & 0x04) != 0;
    const bool sized = (packet[0] & 0x02) != 0;
    if (extension) {
      obu.temporal_layer = packet[1] >> 5;
      obu.spatial_layer = packet[1] >> 3 & 3;
    }
    std::size_t at = extension ? 2 : 1;
    std::uint64_t size = packet.size() - at;
    if (sized) {
      size = 0;
      for (int shift = 0; at < packet.size() && shift < 56; shift += 7) {
        size |= std::uint64_t{packet[at] & 0x7fU} << shift;
        if ((packet[at++] & 0x80) == 0) break;
      }
    }
    obu.payload =
        packet.subspan(at, static_cast<std::size_t>(std::min<std::uint64_t>(size, packet.size() - at)));
    obu.whole = packet.first(at + obu.payload.size());
    packet = packet.subspan(obu.whole.size());
    if (!take(obu)) return;
  }
}

// A frame header: a coded picture, or the showing of one that was decoded before.
struct Av1Picture {
  bool shown = false;
  bool shows_existing = false;
  std::uint8_t uses = 0;       // the slots whose pictures it may need, one bit each
  std::uint8_t refreshes = 0;  // the slots that it is stored in
};

// Keeps the state that frame headers depend on. Packets must be read in decoding order, from a key frame on.
class Av1Headers {
 public:
  void ReadSequence(const Av1Obu& obu);
  // Reads a frame header or the beginning of a frame. Nothing where it cannot be read.
  std::optional<Av1Picture> ReadPicture(const Av1Obu& obu);

 private:
  struct OperatingPoint {
    unsigned layers = 0;  // operating_point_idc
    bool has_decoder_model = false;
  };
  enum class Choice : std::uint8_t { kNever, kAlways, kPerPicture };

  void ReadOperatingPoints(BitReader& bits);
  void ReadTools(BitReader& bits);
  Av1Picture ReadExisting(BitReader& bits);
  void SkipRemovalTimes(BitReader& bits, const Av1Obu& obu) const;

  bool has_sequence_ = false;
  bool reduced_ = false;  // reduced_still_picture_header
  bool has_decoder_model_ = false;
  bool equal_intervals_ = false;  // equal_picture_interval
  int delay_bits_ = 0;
  int removal_time_bits_ = 0;
  int presentation_time_bits_ = 0;
  int frame_id_bits_ = 0;  // 0: frames have no identifiers
  int delta_frame_id_bits_ = 0;
  int order_hint_bits_ = 0;  // 0: no order hints
  Choice screen_content_ = Choice::kPerPicture;
  Choice integer_motion_ = Choice::kPerPicture;
  int operating_points_ = 0;
  std::array<OperatingPoint, 32> points_;
  std::array<bool, av1::kSlots> slot_has_key_{};
};

}  // namespace cosmos
