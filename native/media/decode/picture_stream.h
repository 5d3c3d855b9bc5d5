// Carries out a DecodePlan: wanted pictures come out, in presentation order.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/status.h"
#include "media/bitstream/access_unit.h"
#include "media/bitstream/reference_check.h"
#include "media/decode/decoder.h"
#include "media/demux/demuxer.h"
#include "media/demux/packet_cursor.h"
#include "media/plan/decode_plan.h"
#include "media/plan/frame_index.h"

namespace cosmos {

// A picture that was asked for. `place` differs from `wanted` where damage took the picture: then it is the
// nearest that could be decoded.
struct WantedPicture {
  int wanted = 0;
  int place = 0;
  std::shared_ptr<AVFrame> frame;
  bool damaged = false;  // patched up, or decoded after damage that it may lean on
};

struct DecodeCounts {
  std::int64_t decoded = 0;    // pictures that came out, or were decoded for others to refer to
  std::int64_t discarded = 0;  // packets that went in and gave no picture
  int damage = 0;              // packets refused, and pictures patched up or without what they lean on
};

class PictureStream {
 public:
  // Makes a decoder on the CPU with one thread, whose pictures of damaged packets do not depend on how
  // threads take turns.
  using MakeCarefulDecoder = std::function<Result<std::unique_ptr<Decoder>>()>;

  // All must outlive the stream. `make_careful` may be empty when `decoder` is such a one.
  PictureStream(Demuxer& demuxer, Decoder& decoder, MakeCarefulDecoder make_careful, const FrameIndex& index,
                const ParameterSets& parameter_sets, const DecodePlan& plan, int max_packets_without_frame);

  // Every wanted picture once. Nothing: no more, or, when nothing ever came, nothing can be decoded.
  Result<std::optional<WantedPicture>> Next();

  const DecodeCounts& counts() const { return counts_; }
  int seeks() const { return cursor_.seeks(); }

 private:
  struct Shown {
    int place = 0;
    std::shared_ptr<AVFrame> frame;
    bool damaged = false;
  };

  Status BeginRun();
  Status MoveToFirst();
  Status SendOne();
  Status EndRun();
  Status ReceiveAll();
  void Deliver(Picture picture);
  void NoteDamage(int count, int place);
  bool LeansOnDamage(int place) const;
  Status BeginEarlier();
  Status DecodeAgain();
  bool CanBeginAt(const AVPacket& packet);
  bool IsLeading(int place) const;
  bool WantsCare() const;
  bool IsMissing(int order) const;
  bool WantsEarlierKeyframe(int order) const;
  void GiveUpBefore(int order, const Shown* after);
  Decoder& decoder() { return careful_ ? *careful_decoder_ : decoder_; }

  Decoder& decoder_;
  const MakeCarefulDecoder make_careful_;
  std::unique_ptr<Decoder> careful_decoder_;
  const FrameIndex& index_;
  const DecodePlan& plan_;
  const int max_packets_without_frame_;
  PacketCursor cursor_;
  AccessUnitReader reader_;
  ReferenceCheck references_;
  ff::Packet packet_{av_packet_alloc()};

  std::size_t run_ = 0;
  // Of the current run:
  bool in_run_ = false;
  int first_ = 0;                    // the place it begins at
  int refused_ = 0;                  // what the decoder had counted up to the last packet
  int last_order_ = -1;              // of the last picture that came
  int damage_ = 0;                   // packets refused, and pictures patched up or without what they lean on
  std::vector<int> damaged_places_;  // of these, ascending
  int sent_place_ = -1;              // of the last packet
  bool keyframe_is_lost_ =
      false;                // the run's first packet was refused: what leans on it is no picture of anything
  bool careful_ = false;    // it is decoded again on one thread, after damage was seen
  bool went_back_ = false;  // it is decoded again from one keyframe earlier, after a picture did not come
  bool decode_again_ = false;  // it must begin again
  std::int64_t packets_since_frame_ = 0;
  std::int64_t silent_packets_ = 0;  // of this run, sent and without a picture so far
  std::vector<int> pending_;   // positions in presentation order of the wanted that have not come, ascending
  std::optional<Shown> last_;  // the last picture that came, wanted or not
  std::deque<WantedPicture> ready_;
  DecodeCounts counts_;
};

}  // namespace cosmos
