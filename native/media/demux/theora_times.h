// Corrects the times of Theora in Ogg.
#pragma once

#include "ffmpeg/ffmpeg.h"

namespace cosmos {

// A page gives the number of its last picture's keyframe and how many pictures follow it. The number is
// signed, and so are the times of a stream whose first seconds were cut off. FFmpeg treats it as unsigned,
// which makes such a time too large by a power of two.
class TheoraTimes {
 public:
  explicit TheoraTimes(const AVCodecParameters& parameters);
  // Corrects the times of a packet.
  void Correct(AVPacket& packet) const;

 private:
  int bits_ = 64;  // of a keyframe's number
};

}  // namespace cosmos
