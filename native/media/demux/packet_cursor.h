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
  // All arguments must outlive the cursor.
  PacketCursor(Demuxer& demuxer, const FrameIndex& index, const ParameterSets& parameter_sets)
      : demuxer_(demuxer), index_(index), parameter_sets_(parameter_sets) {}

  // Makes `place` the next packet that Read returns, or the first one after it when it cannot be found again.
  Status MoveTo(int place);
  // Reads a packet and returns its place, or nothing at the end. Where parameter sets change mid-stream, the
  // packet carries those that it needs unless the packets before it had the same.
  Result<std::optional<int>> Read(AVPacket& packet);

  int seeks() const { return seeks_; }

 private:
  Status SeekTo(int place);
  Status SeekToPosition(int place);
  Result<std::optional<int>> ReadPlaced(AVPacket& packet);
  bool IsGap(std::optional<int> place) const;
  bool IsAltered(std::optional<int> place, const AVPacket& packet) const;
  Status ReadFromStart();
  // Reads one packet and returns its place, -1 for a packet that is not in the index.
  Result<std::optional<int>> ReadAny(AVPacket& packet);

  Demuxer& demuxer_;
  const FrameIndex& index_;
  const ParameterSets& parameter_sets_;
  int next_ = -1;                // place of the next packet of the demuxer; -1: unknown
  int first_place_ = 0;          // packets before this place are skipped
  int expected_ = -1;            // the place after the last one that was read; -1: none since MoveTo
  bool seeks_are_right_ = true;  // all packets came after each seek so far
  ff::Packet pending_{av_packet_alloc()};  // read while seeking, to be returned next
  std::optional<int> pending_place_;
  int sent_sets_ = -1;  // number of the last packet's parameter sets; -1: none since MoveTo
  int seeks_ = 0;
};

}  // namespace cosmos
