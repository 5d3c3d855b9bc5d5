// The half of decoding with NVDEC that reads the bytes of files: converts packets to the form that NVDEC's
// parser reads, and notes what the decoder must know of them.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "ffmpeg/bitstream_filter.h"
#include "media/decode/hardware_decoder.h"
#include "media/nvdec/coded_stream.h"
#include "media/plan/frame_index.h"

namespace cosmos {

// Without the headers, which only a filter knows.
CodedStream CodedStreamOf(const AVCodecParameters& parameters);

class NvdecFeed final : public HardwareDecoder {
 public:
  // `index` lists the packets that will be sent, and must outlive the decoder.
  NvdecFeed(BitstreamFilter filter, const FrameIndex& index, std::unique_ptr<NvdecStream> stream)
      : filter_(std::move(filter)), index_(index), stream_(std::move(stream)) {}

  Status Send(AVPacket& packet, int place, bool wanted) override;
  Status Drain() override { return stream_->Drain(); }
  Result<std::optional<Picture>> Receive() override { return stream_->Receive(); }
  void Reset() override;
  int refused() const override { return refused_ + stream_->refused(); }
  void Release() override;
  bool gave_up() const override { return stream_->gave_up(); }
  const std::string& reason() const override { return stream_->reason(); }
  CUstream stream() const override { return stream_->stream(); }

 private:
  BitstreamFilter filter_;
  const FrameIndex& index_;
  const std::unique_ptr<NvdecStream> stream_;
  int refused_ = 0;  // after the stream gave up
};

// A backend whose streams are NVDEC's, in this process or in another.
class NvdecBackend : public DecoderBackend {
 public:
  std::string id() const override { return "nvdec"; }
  std::string name() const override { return "NVDEC"; }
  std::string WhyNot(const AVCodecParameters& parameters, const ParameterSets& parameter_sets) override;
  double SetupSeconds(const AVCodecParameters& parameters) const override {
    return SetupSeconds(CodedStreamOf(parameters));
  }
  int IdleDecoders(const AVCodecParameters& parameters) const override {
    return IdleDecoders(CodedStreamOf(parameters));
  }
  Result<std::unique_ptr<HardwareDecoder>> Open(const AVCodecParameters& parameters, const FrameIndex& index,
                                                const DecodeLimits& limits, const JobGuard& guard) override;

  // As the methods of the same names.
  virtual std::string WhyNot(const CodedStream& stream) = 0;
  virtual double SetupSeconds(const CodedStream& stream) const = 0;
  virtual int IdleDecoders(const CodedStream& stream) const = 0;
  // `guard` is polled while the stream waits; its errors are returned.
  virtual Result<std::unique_ptr<NvdecStream>> Open(CodedStream stream, const DecodeLimits& limits,
                                                    const JobGuard& guard) = 0;
};

}  // namespace cosmos
