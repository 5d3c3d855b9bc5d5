// Converts packets from the form that containers store to the form that NVDEC's parser reads: Annex B start
// codes for H.264 and HEVC, one picture per packet for MPEG-4.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"

namespace cosmos {

class BitstreamFilter {
 public:
  // Copies the parameters. Fails with kMedia when this FFmpeg lacks the filter that the codec needs, or the
  // filter rejects the stream.
  static Result<BitstreamFilter> Open(const AVCodecParameters& parameters);

  // Consumes the packet, which is blank afterwards, and calls `sink` for each packet that the filter emits.
  // Returns false when the packet is damaged.
  template <typename Sink>
  bool Apply(AVPacket& packet, Sink&& sink) {
    if (!filter_) {
      sink(packet);
      return true;
    }
    int error = av_bsf_send_packet(filter_.get(), &packet);
    while (error >= 0) {
      error = av_bsf_receive_packet(filter_.get(), out_.get());
      if (error < 0) break;
      sink(*out_);
      av_packet_unref(out_.get());
    }
    return error == AVERROR(EAGAIN);
  }
  void Reset() {
    if (filter_) av_bsf_flush(filter_.get());
  }

  // The parameters as the container declares them.
  const AVCodecParameters& parameters() const { return *parameters_; }
  // The headers to send before the first packet. Empty when the packets carry them.
  std::span<const std::uint8_t> headers() const;

 private:
  ff::CodecParameters parameters_{avcodec_parameters_alloc()};
  ff::Filter filter_;  // null when packets need no conversion
  ff::Packet out_{av_packet_alloc()};
};

}  // namespace cosmos
