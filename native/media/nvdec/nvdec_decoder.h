// NVDEC as a Decoder: packets → NVIDIA's parser → a session's surfaces → wanted pictures in GPU memory.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "ffmpeg/bitstream_filter.h"
#include "media/clip_types.h"
#include "media/decode/decoder.h"
#include "media/nvdec/nvdec_session.h"
#include "media/plan/frame_index.h"

namespace cosmos {

// Whatever is not as it should be counts as damage, so that the CPU decodes those pictures again: it has the
// last word on what a damaged or unusual stream looks like. Errors are a lost device and what `may_go_on`
// says.
class NvdecDecoder final : public Decoder {
 public:
  // `index` is of the packets that will be sent, and must outlive it. `may_go_on` is asked while it waits for
  // others.
  static Result<std::unique_ptr<NvdecDecoder>> Open(Nvdec& nvdec, const AVCodecParameters& parameters,
                                                    const FrameIndex& index, const DecodeLimits& limits,
                                                    std::function<Status()> may_go_on);
  ~NvdecDecoder() override;

  Status Send(AVPacket& packet, int place, bool wanted) override;
  Status Drain() override;
  Result<std::optional<Picture>> Receive() override;
  void Reset() override;
  int refused() const override { return refused_; }
  bool missing_is_damage() const override { return true; }

  // Nothing is to be decoded for now: somebody else may have its decoder. Frames that were received stay.
  void Rest();
  // NVDEC has no decoder for this stream, and every packet is refused.
  bool gave_up() const { return given_up_; }
  // Why packets were refused, or empty.
  const std::string& reason() const { return reason_; }
  // On which its frames were copied, and where they may be worked on.
  CUstream stream() const { return stream_.get(); }

 private:
  static constexpr int kUnknown = -1;
  // What was done with the picture that a surface is for.
  struct Surface {
    int place = kUnknown;
    bool decoded = false;
    bool skipped = false;
    bool shown = false;
  };
  struct Output {
    Picture picture;
    int surface = 0;
    bool hidden = false;  // never shown: nobody gets it
    bool judged = false;  // `picture.damaged` is final
  };

  NvdecDecoder(Nvdec& nvdec, BitstreamFilter filter, cuda::Stream stream, cuda::Event event,
               const FrameIndex& index, const DecodeLimits& limits, std::function<Status()> may_go_on);

  Status OpenParser();
  void CloseParser();
  void ParsePicture(std::span<const std::uint8_t> data, int place);
  void Parse(std::span<const std::uint8_t> data, unsigned long flags, int place);
  void CheckWhatCameOf(int place);
  void SendFiltered(const AVPacket& packet, int place);
  int OnSequence(const CUVIDEOFORMAT& format);
  int OnDecode(CUVIDPICPARAMS& picture);
  int OnDisplay(const CUVIDPARSERDISPINFO& shown);
  int PlaceOf(const CUVIDPARSERDISPINFO& shown) const;
  bool IsLeading(const Surface& surface) const;
  bool AnyDecodedIsDamaged();
  void Judge(Output& output, bool wait);
  bool Fail(Status status);
  void Irregular(std::string reason);

  template <typename Argument, int (NvdecDecoder::*method)(Argument&)>
  static int CUDAAPI Callback(void* self, std::remove_const_t<Argument>* argument);

  Nvdec& nvdec_;
  BitstreamFilter filter_;
  const cuda::Stream stream_;
  const cuda::Event event_;
  const FrameIndex& index_;
  const DecodeLimits limits_;
  const std::function<Status()> may_go_on_;
  const bool can_skip_;
  const bool one_to_one_;  // every packet is a picture to be decoded
  const bool reorders_;    // else a packet's picture is shown before the next packet
  NvdecSession session_;
  CUvideoparser parser_ = nullptr;
  CUVIDEOFORMATEX extended_format_{};

  Status error_;           // the clip cannot go on
  bool given_up_ = false;  // NVDEC has no decoder for the stream
  std::string reason_;
  int refused_ = 0;
  bool dropping_ = false;  // what comes out is nobody's

  // Since the last Reset:
  bool fed_ = false;
  bool drained_ = false;
  int sent_ = 0;       // packets with a picture in them
  int begun_ = 0;      // pictures that the parser found in them
  int shown_ = 0;      // pictures that it showed of the last
  bool lags_ = false;  // it finds them one packet late
  int first_place_ = 0;
  int last_place_ = 0;
  bool current_wanted_ = false;
  std::vector<int> wanted_;  // places sent, ascending
  std::vector<int> hidden_;  // of those that an edit list hides
  std::vector<Surface> surfaces_;
  std::deque<Output> outputs_;
  std::vector<std::uint8_t> joined_;  // headers and the packet that follows them
};

}  // namespace cosmos
