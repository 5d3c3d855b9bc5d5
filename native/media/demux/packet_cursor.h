// Reads packets by their place in a FrameIndex.
#pragma once

#include <optional>

#include "base/status.h"
#include "media/bitstream/parameter_sets.h"
#include "media/demux/demuxer.h"
#include "media/plan/frame_index.h"

namespace cosmos {

class PacketCursor {
 public:
  // All must outlive the cursor.
  PacketCursor(Demuxer& demuxer, const FrameIndex& index, const ParameterSets& parameter_sets)
      : demuxer_(demuxer), index_(index), parameter_sets_(parameter_sets) {}

  // Makes `place` the next packet that Read returns, or, when it cannot be found again, one after it.
  Status MoveTo(int place);
  // The place of the packet read into `packet`, or nothing at the end. Where parameter sets change in
  // mid-stream, a packet brings along those that it needs and those before it did not have.
  Result<std::optional<int>> Read(AVPacket& packet);

  int seeks() const { return seeks_; }

 private:
  Status SeekTo(int place);
  Result<std::optional<int>> ReadPlaced(AVPacket& packet);
  // Reads one packet and finds its place; -1 for a packet that the index does not have.
  Result<std::optional<int>> ReadAny(AVPacket& packet);

  Demuxer& demuxer_;
  const FrameIndex& index_;
  const ParameterSets& parameter_sets_;
  int next_ = -1;                       // the place that the demuxer stands before; -1: unknown
  int from_ = 0;                        // places before this one are read past
  ff::Packet held_{av_packet_alloc()};  // read while seeking, to be returned next
  std::optional<int> held_place_;
  int sent_sets_ = -1;  // the number of the parameter sets that the last packet had; -1: none since MoveTo
  int seeks_ = 0;
};

}  // namespace cosmos
