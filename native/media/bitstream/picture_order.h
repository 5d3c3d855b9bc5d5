// The order of presentation as the bitstream has it, from picture order counts or picture types: what a
// decoder goes by, whatever the container's times are.
#pragma once

#include <cstdint>
#include <vector>

#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/access_unit.h"
#include "media/bitstream/bitstream.h"

namespace cosmos {

class PictureOrder {
 public:
  // No codec lets more pictures than this overtake one.
  static constexpr int kMostReordered = 16;

  explicit PictureOrder(const AVCodecParameters& parameters)
      : codec_(parameters.codec_id), parser_(parameters) {}

  // Packets in decoding order, and what was read of each.
  void Add(const AVPacket& packet, const AccessUnit& unit);

  // Places among the packets added, in the order of presentation. One without a picture stays behind the one
  // before it.
  std::vector<int> Display() const;
  // Whether the codec says the order, and what it said makes sense.
  bool IsReliable(const std::vector<int>& display) const;
  // As if the first `count` packets had not been added.
  void Forget(int count);

 private:
  struct Position {
    int epoch = 0;  // later ones are all shown later
    std::int64_t number = 0;
    bool has_picture = true;
  };

  AVCodecID codec_;
  PictureParser parser_;
  std::int64_t forgotten_ = 0;       // packets
  std::vector<Position> positions_;  // of those after them
  std::int64_t last_reference_ =
      -1;  // the packet of the last picture that later B pictures precede on screen
};

}  // namespace cosmos
