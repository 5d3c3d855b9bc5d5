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

// Packets are counted from the first of the run, in decoding order.
class PictureFilter {
 public:
  explicit PictureFilter(const AVCodecParameters& parameters);

  // Reads the next packet. False when it cannot tell what the packet's pictures need; then the filter must
  // not be used.
  bool Read(std::span<const std::uint8_t> packet);
  // Finds out what the shown pictures of these packets need. After all packets were read.
  void Want(std::span<const int> packets);
  // Removes from a packet what is not needed. False when no picture is left.
  Result<bool> Trim(AVPacket& packet, int number) const;

 private:
  static constexpr int kNone = -1;

  struct Picture {
    std::array<std::int32_t, av1::kSlots> uses{};  // other pictures, or kNone
    bool shown = false;
    bool needed = false;
  };

  bool Add(const Av1Obu& obu);

  Av1Headers headers_;
  std::array<std::int32_t, av1::kSlots> slots_;  // the picture that each holds
  std::vector<Picture> pictures_;
  std::vector<std::int32_t> begins_;  // the first picture of each packet
};

}  // namespace cosmos
