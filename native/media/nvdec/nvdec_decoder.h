// Decodes a stream with NVDEC: packets → NVIDIA's parser → surfaces → wanted pictures in GPU memory.
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
#include "media/decode/hardware_decoder.h"
#include "media/limits/packet_cost.h"
#include "media/nvdec/nvdec_session.h"
#include "media/plan/frame_index.h"

namespace cosmos {

class NvdecDecoder final : public HardwareDecoder {
 public:
  // `index` lists the packets that will be sent, and must outlive the decoder. `check_continue` is polled
  // while the decoder waits; its errors are returned.
  static Result<std::unique_ptr<NvdecDecoder>> Open(Nvdec& nvdec, const AVCodecParameters& parameters,
                                                    const FrameIndex& index, const DecodeLimits& limits,
                                                    std::function<Status()> check_continue);
  ~NvdecDecoder() override;

  Status Send(AVPacket& packet, int place, bool wanted) override;
  Status Drain() override;
  Result<std::optional<Picture>> Receive() override;
  void Reset() override;
  int refused() const override { return refused_; }
  void Release() override;
  bool gave_up() const override { return gave_up_; }
  const std::string& reason() const override { return reason_; }
  CUstream stream() const override { return stream_.get(); }

 private:
  static constexpr int kUnknown = -1;
  // The state of the picture that was last decoded into a surface.
  struct Surface {
    int place = kUnknown;
    bool decoded = false;
    bool skipped = false;
    bool shown = false;
  };
  struct Output {
    Picture picture;
    int surface = 0;
    bool hidden = false;   // cut by an edit list: checked for damage, never returned
    bool checked = false;  // `picture.damaged` is final
  };

  NvdecDecoder(Nvdec& nvdec, BitstreamFilter filter, cuda::Stream stream, cuda::Event event,
               const FrameIndex& index, const DecodeLimits& limits, std::function<Status()> check_continue);

  Status OpenParser();
  void CloseParser();
  void ParsePicture(std::span<const std::uint8_t> data, int place);
  void Parse(std::span<const std::uint8_t> data, unsigned long flags, int place);
  void CheckPacket(int place);
  void SendFiltered(const AVPacket& packet, int place);
  int OnSequence(const CUVIDEOFORMAT& format);
  int OnDecode(CUVIDPICPARAMS& picture);
  int OnDisplay(const CUVIDPARSERDISPINFO& shown);
  int PlaceOf(const CUVIDPARSERDISPINFO& shown) const;
  bool IsLeading(const Surface& surface) const;
  bool AnyDecodedIsDamaged();
  void CheckHealth(Output& output, bool wait);
  bool Fail(Status status);
  void Refuse(std::string reason);

  template <typename Argument, int (NvdecDecoder::*method)(Argument&)>
  static int CUDAAPI Callback(void* self, std::remove_const_t<Argument>* argument);

  Nvdec& nvdec_;
  BitstreamFilter filter_;
  const cuda::Stream stream_;
  const cuda::Event event_;
  const FrameIndex& index_;
  const DecodeLimits limits_;
  const std::function<Status()> check_continue_;
  const bool can_skip_;
  const bool one_to_one_;  // every packet holds exactly one coded picture
  const bool reorders_;    // false: a packet's picture is shown before the next packet is sent
  NvdecSession session_;
  PacketCost cost_;
  CUvideoparser parser_ = nullptr;
  CUVIDEOFORMATEX extended_format_{};

  Status error_;  // ends the clip
  bool gave_up_ = false;
  std::string reason_;
  int refused_ = 0;
  bool closing_ = false;  // the parser is being destroyed: its callbacks are ignored

  // Since the last Reset:
  bool fed_ = false;  // the parser got a packet
  bool drained_ = false;
  int sent_ = 0;       // packets that hold a picture
  int begun_ = 0;      // pictures that the parser found in them
  int shown_ = 0;      // pictures that the parser showed for the last packet
  bool lags_ = false;  // the parser finds a picture one packet late
  int first_place_ = 0;
  int last_place_ = 0;
  bool current_wanted_ = false;
  std::vector<int> wanted_;  // places sent, ascending
  std::vector<int> hidden_;  // those among them that an edit list hides
  std::vector<Surface> surfaces_;
  std::deque<Output> outputs_;
  std::vector<std::uint8_t> joined_;  // the headers and the first packet
};

}  // namespace cosmos
