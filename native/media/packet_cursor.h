// Reads packets by their place in a FrameIndex.
#pragma once

#include <optional>

#include "base/status.h"
#include "media/demuxer.h"
#include "media/frame_index.h"

namespace cosmos {

class PacketCursor {
 public:
  // Both must outlive the cursor.
  PacketCursor(Demuxer& demuxer, const FrameIndex& index) : demuxer_(demuxer), index_(index) {}

  // Makes `place` the next packet that Read returns, or, when it cannot be found again, one after it.
  Status MoveTo(int place);
  // The place of the packet read into `packet`, or nothing at the end.
  Result<std::optional<int>> Read(AVPacket& packet);

  int seeks() const { return seeks_; }

 private:
  Status SeekTo(int place);
  // Reads one packet and finds its place; -1 for a packet that the index does not have.
  Result<std::optional<int>> ReadAny(AVPacket& packet);

  Demuxer& demuxer_;
  const FrameIndex& index_;
  int next_ = -1;                       // the place that the demuxer stands before; -1: unknown
  int from_ = 0;                        // places before this one are read past
  ff::Packet held_{av_packet_alloc()};  // read while seeking, to be returned next
  std::optional<int> held_place_;
  int seeks_ = 0;
};

}  // namespace cosmos
