// The interface of all decoders: packets in, pictures out.
#pragma once

#include <cstdint>
#include <optional>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"

namespace cosmos {

// A decoded picture and the place of its packet. Hardware decoders copy only wanted pictures out of their
// surfaces: for the others they return a Picture with a null `frame`.
struct Picture {
  ff::Frame frame;
  int place = 0;
  bool damaged = false;  // concealed by the decoder
};

class Decoder {
 public:
  virtual ~Decoder() = default;

  // Sends a packet and consumes it. An unwanted picture that no other refers to may be skipped. All pictures
  // must have been received before. A damaged packet is not an error: it counts as `refused`.
  virtual Status Send(AVPacket& packet, int place, bool wanted) = 0;
  // Ends the stream, so that Receive returns the pictures that were held back.
  virtual Status Drain() = 0;
  // The next picture. Nothing: it needs another packet or, after Drain, there are no more.
  virtual Result<std::optional<Picture>> Receive() = 0;
  // The number of packets that the decoder refused. Concealed pictures are marked `damaged` instead.
  virtual int refused() const = 0;
  // Whether a wanted picture that does not come out counts as damage, because another decoder may produce it.
  virtual bool missing_is_damage() const { return false; }
  // Whether pictures that no wanted picture needs may be left out of the stream.
  virtual bool allows_gaps() const { return false; }
  // Discards all state. The next packet must be a keyframe.
  virtual void Reset() = 0;
};

}  // namespace cosmos
