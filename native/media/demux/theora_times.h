// Times of Theora in Ogg.
#pragma once

#include "ffmpeg/ffmpeg.h"

namespace cosmos {

// A page has one number for the last picture in it: which picture its keyframe is, and how many follow that.
// It is signed, as the times of a stream are whose first seconds were cut off; FFmpeg takes it for unsigned,
// and then such a time is a power of two too large.
class TheoraTimes {
 public:
  explicit TheoraTimes(const AVCodecParameters& parameters);
  // Sets the times of a packet right.
  void Mend(AVPacket& packet) const;

 private:
  int bits_ = 64;  // of the number of a keyframe
};

}  // namespace cosmos
