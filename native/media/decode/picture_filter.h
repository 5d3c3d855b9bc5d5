// Leaves out of a run the pictures that no wanted picture needs. For AV1, whose frame headers name the
// pictures that a picture may be predicted from: encoders that make pyramids of pictures need few of them for
// one.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/av1_headers.h"

namespace cosmos {

// Goes over a run section by section. The packets of a section are counted from its first, in decoding order.
class PictureFilter {
 public:
  explicit PictureFilter(const AVCodecParameters& parameters);

  void BeginSection();
  // Reads the next packet. False when it cannot tell what the packet's pictures need; then the filter must
  // not be used for this section or a later one.
  bool Read(std::span<const std::uint8_t> packet);
  // Finds out what the shown pictures of these packets need, and unless this is the last section, also what
  // later sections may.
  void EndSection(std::span<const int> wanted, bool is_last);
  enum class Rest : std::uint8_t { kNothing, kHidden, kAll };
  // Removes from a packet of the section what is not needed. kNothing: all of it, and the packet is as it
  // was. kHidden: what is shown of it.
  Result<Rest> Trim(AVPacket& packet, int number) const;

 private:
  static constexpr std::int32_t kNone = -1;
  static constexpr std::int32_t kEarlier = -2;  // a picture of an earlier section, which was decoded

  struct Picture {
    std::array<std::int32_t, av1::kSlots> uses{};  // other pictures of the section, or kNone
    bool shown = false;
    bool needed = false;
  };

  bool Add(const Av1Obu& obu);

  Av1Headers headers_;                           // of the stream so far
  std::array<std::int32_t, av1::kSlots> slots_;  // the picture that each holds, kNone or kEarlier
  std::vector<Picture> pictures_;
  std::vector<std::int32_t> begins_;  // the first picture of each packet
};

}  // namespace cosmos
