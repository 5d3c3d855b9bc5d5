// Decodes a stream with NVDEC: packets → NVIDIA's parser → surfaces → wanted pictures in GPU memory. Its
// packets may come from a process that a hostile file has taken over: nothing that they say is believed.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "media/clip_types.h"
#include "media/limits/job_guard.h"
#include "media/limits/packet_cost.h"
#include "media/nvdec/coded_stream.h"
#include "media/nvdec/nvdec_session.h"

namespace cosmos {

class NvdecDecoder final : public NvdecStream {
 public:
  // `guard` is polled while the decoder waits; its errors are returned. All arguments must outlive the
  // decoder.
  static Result<std::unique_ptr<NvdecDecoder>> Open(Nvdec& nvdec, CodedStream coded,
                                                    const DecodeLimits& limits, const JobGuard& guard);
  ~NvdecDecoder() override;

  Status Send(const CodedPacket& packet) override;
  Status Drain() override;
  Result<std::optional<Picture>> Receive() override;
  void Reset() override;
  int refused() const override { return refused_; }
  void Release() override;
  bool gave_up() const override { return gave_up_; }
  const std::string& reason() const override { return reason_; }
  CUstream stream() const override { return stream_.get(); }

 private:
  // A packet that the parser got.
  struct Sent {
    int place = 0;
    int order = 0;
    bool wanted = false;
    bool hidden = false;
  };
  // The state of the picture that was last decoded into a surface.
  struct Surface {
    std::optional<Sent> packet;  // nothing when not known
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

  NvdecDecoder(Nvdec& nvdec, CodedStream coded, cuda::Stream stream, cuda::Event event,
               const DecodeLimits& limits, const JobGuard& guard);

  Status OpenParser();
  void CloseParser();
  void ParsePicture(std::span<const std::uint8_t> data);
  void Parse(std::span<const std::uint8_t> data, unsigned long flags);
  void CheckPacket(bool shown);
  void Note(const CodedPacket& packet);
  void SendData(const CodedPacket& packet);
  int OnSequence(const CUVIDEOFORMAT& format);
  int OnDecode(CUVIDPICPARAMS& picture);
  int OnDisplay(const CUVIDPARSERDISPINFO& shown);
  std::optional<Sent> PacketOf(const CUVIDPARSERDISPINFO& shown) const;
  bool IsLeading(const Surface& surface) const;
  bool AnyDecodedIsDamaged();
  void CheckHealth(Output& output, bool wait);
  bool Fail(Status status);
  void Refuse(std::string reason);

  template <typename Argument, int (NvdecDecoder::*method)(Argument&)>
  static int CUDAAPI Callback(void* self, std::remove_const_t<Argument>* argument);

  Nvdec& nvdec_;
  const CodedStream coded_;
  const cuda::Stream stream_;
  const cuda::Event event_;
  const DecodeLimits limits_;
  const JobGuard& guard_;
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
  int sent_ = 0;         // packets that hold a picture
  int begun_ = 0;        // pictures that the parser found in them
  int shown_ = 0;        // pictures that the parser showed for the last packet
  bool lags_ = false;    // the parser finds a picture one packet late
  int first_order_ = 0;  // of the first packet
  Sent current_;         // the last packet
  // The latest packets, current_ included. A parser shows no picture later than its surfaces last.
  std::deque<Sent> recent_;
  std::vector<Surface> surfaces_;
  std::deque<Output> outputs_;
  std::vector<std::uint8_t> joined_;  // the headers and the first packet
};

}  // namespace cosmos
