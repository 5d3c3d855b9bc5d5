// Reads the packets of a run, and leaves out those that no wanted picture needs. To know which these are, it
// reads ahead of what is decoded.
#pragma once

#include <deque>
#include <optional>

#include "base/status.h"
#include "media/bitstream/parameter_sets.h"
#include "media/decode/picture_filter.h"
#include "media/demux/demuxer.h"
#include "media/demux/packet_cursor.h"
#include "media/plan/decode_plan.h"
#include "media/plan/frame_index.h"

namespace cosmos {

class RunReader {
 public:
  struct Packet {
    int place = 0;
    bool is_needed = true;  // false: no decoder must get it
    bool shows = true;      // false: what it shows was left out
  };

  // All arguments must outlive the reader.
  RunReader(Demuxer& demuxer, const FrameIndex& index, const ParameterSets& parameter_sets,
            const DecodePlan& plan)
      : demuxer_(demuxer), index_(index), plan_(plan), cursor_(demuxer, index, parameter_sets) {}

  // Begins at `first`, or at the first packet after it that can be found again. `leave_out`: whether packets
  // that are not needed are found and left out, which the decoder must allow.
  Status Begin(const DecodeRun& run, int first, bool leave_out);
  // Reads the next packet, without the pictures that are not needed; nothing after the last of the run.
  Result<std::optional<Packet>> Next(AVPacket& packet);
  // Whether something may have been left out since Begin.
  bool leaves_out() const { return leaves_out_; }
  int seeks() const { return cursor_.seeks(); }

 private:
  struct Ahead {
    ff::Packet packet;
    int place = 0;
  };

  Status ReadSection();

  const Demuxer& demuxer_;
  const FrameIndex& index_;
  const DecodePlan& plan_;
  PacketCursor cursor_;
  DecodeRun run_;
  bool leaves_out_ = false;
  std::optional<PictureFilter> filter_;  // none where everything that is left is needed
  // The section at hand: the packets that were read ahead.
  std::deque<Ahead> ahead_;
  int packets_ = 0;   // that it had
  int expected_ = 0;  // the place after its last
  bool is_last_ = false;
};

}  // namespace cosmos
