// Carries out a DecodePlan: wanted pictures come out, in presentation order.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/status.h"
#include "media/decode_plan.h"
#include "media/decoder.h"
#include "media/demuxer.h"
#include "media/frame_index.h"
#include "media/packet_cursor.h"

namespace cosmos {

// A picture that was asked for. `place` differs from `wanted` where damage took the picture: then it is the
// nearest that could be decoded.
struct WantedPicture {
  int wanted = 0;
  int place = 0;
  std::shared_ptr<AVFrame> frame;
};

struct DecodeCounts {
  std::int64_t sent = 0;
  std::int64_t decoded = 0;
  std::int64_t discarded = 0;
  std::int64_t refused = 0;    // packets that the decoder called damaged
  std::int64_t concealed = 0;  // wanted pictures that it flagged as damaged
  std::int64_t missing = 0;    // wanted pictures that another stands in for
};

class PictureStream {
 public:
  // All must outlive the stream.
  PictureStream(Demuxer& demuxer, Decoder& decoder, const FrameIndex& index, const DecodePlan& plan,
                int max_packets_without_frame);

  // Nothing: all came, or, when nothing ever came, nothing can be decoded.
  Result<std::optional<WantedPicture>> Next();

  const DecodeCounts& counts() const { return counts_; }
  int seeks() const { return cursor_.seeks(); }

 private:
  struct Shown {
    int place = 0;
    std::shared_ptr<AVFrame> frame;
  };

  Status BeginRun();
  Status SendOne();
  Status EndRun();
  Status ReceiveAll();
  void Deliver(Picture picture);
  void GiveUpBefore(int order, const Shown* after);

  Decoder& decoder_;
  const FrameIndex& index_;
  const DecodePlan& plan_;
  const int max_packets_without_frame_;
  PacketCursor cursor_;
  ff::Packet packet_{av_packet_alloc()};

  std::size_t run_ = 0;
  bool in_run_ = false;
  std::int64_t packets_since_frame_ = 0;
  std::int64_t silent_packets_ = 0;  // of this run, sent and without a picture so far
  std::vector<int> pending_;   // positions in presentation order of the wanted that have not come, ascending
  std::optional<Shown> last_;  // the last picture that came, wanted or not
  std::deque<WantedPicture> ready_;
  DecodeCounts counts_;
};

}  // namespace cosmos
