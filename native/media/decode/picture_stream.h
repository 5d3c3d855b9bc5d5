// Executes a DecodePlan and returns the wanted pictures in presentation order.
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
#include "media/decode/run_reader.h"
#include "media/demux/demuxer.h"
#include "media/plan/decode_plan.h"
#include "media/plan/frame_index.h"

namespace cosmos {

// A picture of the plan. When the wanted picture could not be decoded, `place` differs from `wanted` and
// names the nearest picture that could, within the plan's bounds if there is one.
struct WantedPicture {
  int wanted = 0;
  int place = 0;
  std::shared_ptr<AVFrame> frame;
  bool damaged = false;    // concealed, or may depend on damaged pictures
  bool recovered = false;  // by the recovery decoder
};

struct DecodeCounts {
  std::int64_t decoded = 0;    // pictures that came out, and hidden ones that others refer to
  std::int64_t discarded = 0;  // packets of runs that produced no picture
  int damage = 0;              // refused packets, concealed pictures, pictures whose references are missing
};

// The error for a video of which no picture could be decoded. `position`: seconds; of the first that was
// wanted. `refusal`: the AVERROR of the decoder's last refusal, or 0.
Status NothingDecoded(const Demuxer& demuxer, double position, int refusal);

class PictureStream {
 public:
  // Makes a decoder on the CPU with one thread. How decoders conceal damage depends on the hardware and on
  // thread timing; with one thread of the CPU the result is reproducible.
  using MakeRecoveryDecoder = std::function<Result<std::unique_ptr<Decoder>>()>;

  // All arguments must outlive the stream. `make_recovery` may be empty when `decoder` is itself on the CPU
  // with one thread.
  PictureStream(Demuxer& demuxer, Decoder& decoder, MakeRecoveryDecoder make_recovery,
                const FrameIndex& index, const ParameterSets& parameter_sets, const DecodePlan& plan,
                int max_packets_without_frame);

  // Returns every wanted picture once, in presentation order unless a substitute has to be waited for, and
  // then nothing. Nothing at the first call: no picture can be decoded.
  Result<std::optional<WantedPicture>> Next();

  const DecodeCounts& counts() const { return counts_; }
  int seeks() const { return run_reader_.seeks(); }

 private:
  struct Shown {
    int place = 0;
    std::shared_ptr<AVFrame> frame;
    bool damaged = false;
    bool recovered = false;
  };
  // A missing picture for which a later run may have a better substitute than `before`.
  struct Deferred {
    int order = 0;
    Shown before;
  };

  Status BeginRun();
  Status StartAtFirst();
  Status SendOne();
  Status EndRun();
  Status ReceiveAll();
  void Deliver(Picture picture);
  void NoteDamage(int count, int place);
  bool DependsOnDamage(int place) const;
  Status StartEarlier();
  Status DecodeAgain();
  bool CanStartAt(const AVPacket& packet);
  bool IsLeading(int place) const;
  bool WantsRecovery() const;
  bool IsMissing(int order) const;
  bool MustDecodeAgain(int order) const;
  void SubstituteBefore(int order, const Shown* after);
  void SubstituteDeferred(const Shown* after);
  const Shown& Better(int order, const Shown& before, const Shown& after) const;
  void Substitute(int order, const Shown& by);
  bool IsWithinBounds(int order, int place) const;
  bool MayComeWithinBounds(int order) const;
  Decoder& decoder() { return recovering_ ? *recovery_decoder_ : decoder_; }

  Decoder& decoder_;
  const MakeRecoveryDecoder make_recovery_;
  std::unique_ptr<Decoder> recovery_decoder_;
  const FrameIndex& index_;
  const DecodePlan& plan_;
  const int max_packets_without_frame_;
  RunReader run_reader_;
  AccessUnitReader reader_;
  ReferenceCheck references_;
  ff::Packet packet_{av_packet_alloc()};

  std::size_t run_ = 0;
  // State of the current run:
  bool in_run_ = false;
  bool whole_ = false;               // decoding all of it: something is damaged or missing
  int first_ = 0;                    // the place where decoding starts
  int refused_ = 0;                  // the decoder's count at the last packet
  int last_order_ = -1;              // of the last picture that came out
  int damage_ = 0;                   // as in DecodeCounts
  std::vector<int> damaged_places_;  // where that damage is, ascending
  int sent_place_ = -1;              // of the last packet
  // The first packet was refused, so pictures that depend on it show nothing meaningful.
  bool keyframe_is_lost_ = false;
  bool recovering_ = false;    // decoding again with the recovery decoder, after damage
  bool went_back_ = false;     // decoding again from an earlier keyframe, after a picture was missing
  bool decode_again_ = false;  // the run must start over
  std::int64_t packets_since_frame_ = 0;
  std::int64_t silent_packets_ = 0;  // sent in this run without producing a picture so far
  // Wanted pictures that have not come out: presentation positions, ascending. A run may have all of a video.
  std::deque<int> pending_;
  std::optional<Shown> last_;  // the last picture that came out, wanted or not
  std::vector<Deferred> deferred_;
  std::deque<WantedPicture> ready_;
  DecodeCounts counts_;
};

}  // namespace cosmos
