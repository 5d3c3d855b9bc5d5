// Derives the presentation order from the bitstream (picture order counts or picture types). Decoders follow
// it, whatever the times of the container.
#pragma once

#include <cstdint>
#include <vector>

#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/access_unit.h"
#include "media/bitstream/picture_parser.h"

namespace cosmos {

class PictureOrder {
 public:
  // No codec lets more pictures than this overtake one.
  static constexpr int kMaxReordered = 16;

  explicit PictureOrder(const AVCodecParameters& parameters)
      : codec_(parameters.codec_id), parser_(parameters) {}

  // Adds a packet, in decoding order, with what AccessUnitReader read from it.
  void Add(const AVPacket& packet, const AccessUnit& unit);

  // The places of the added packets in presentation order. One without a picture follows the packet before
  // it.
  std::vector<int> Display() const;
  // Whether the codec defines the order and what it said is consistent.
  bool IsReliable(const std::vector<int>& display) const;
  // Forgets the first `count` packets.
  void Forget(int count);

 private:
  struct Position {
    int epoch = 0;  // every picture of a later epoch is shown later
    std::int64_t number = 0;
    bool has_picture = true;
  };

  AVCodecID codec_;
  PictureParser parser_;
  std::int64_t forgotten_ = 0;        // number of packets
  std::vector<Position> positions_;   // of the packets after the forgotten ones
  std::int64_t last_reference_ = -1;  // place of the last picture that is not a B picture
};

}  // namespace cosmos
