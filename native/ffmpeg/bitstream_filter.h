// Packets as containers store them to packets as NVDEC's parser reads them.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"

namespace cosmos {

class BitstreamFilter {
 public:
  // Keeps a copy of the parameters. Fails with kMedia when this FFmpeg lacks the filter that the stream
  // needs.
  static Result<BitstreamFilter> Open(const AVCodecParameters& parameters);

  // Takes the packet, which is blank afterwards, and calls `sink` for each that comes out of it. False: it is
  // damaged.
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

  // As the container has them.
  const AVCodecParameters& parameters() const { return *parameters_; }
  // The headers to send before the first packet; empty where they are in the packets themselves.
  std::span<const std::uint8_t> headers() const;

 private:
  ff::CodecParameters parameters_{avcodec_parameters_alloc()};
  ff::Filter filter_;  // null: packets are as they should be
  ff::Packet out_{av_packet_alloc()};
};

}  // namespace cosmos
