// Packets in, pictures out: what software and hardware decoders have in common.
#pragma once

#include <cstdint>
#include <optional>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"

namespace cosmos {

// A decoded picture and the place of the packet that it was decoded from. A decoder that keeps its pictures
// in a GPU's memory hands out the wanted ones only: of the others it says that they came, and `frame` is
// null.
struct Picture {
  ff::Frame frame;
  int place = 0;
  bool damaged = false;  // patched up
};

class Decoder {
 public:
  virtual ~Decoder() = default;

  // Sends a packet and consumes it. When it is not wanted and no picture refers to it, it may be dropped
  // undecoded. All pictures must have been received before. A damaged packet is not an error: see `refused`.
  virtual Status Send(AVPacket& packet, int place, bool wanted) = 0;
  // No more packets follow: what is held back comes out.
  virtual Status Drain() = 0;
  // The next picture, or nothing when a packet is needed first or, after Drain, when that was all.
  virtual Result<std::optional<Picture>> Receive() = 0;
  // How many packets were refused so far. Pictures that were patched up carry a flag of their own.
  virtual int refused() const = 0;
  // A wanted picture that does not come counts as damage: another decoder may have it.
  virtual bool missing_is_damage() const { return false; }
  // Forgets everything; the next packet is a keyframe.
  virtual void Reset() = 0;
};

}  // namespace cosmos
