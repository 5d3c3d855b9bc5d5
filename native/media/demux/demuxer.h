// One video stream of a container, as packets.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "ffmpeg/bitstream_filter.h"
#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/bitstream.h"
#include "media/clip_types.h"
#include "media/demux/source.h"
#include "media/demux/theora_times.h"
#include "media/limits/job_guard.h"

namespace cosmos {

// Opens what the whitelists allow and nothing else: no protocol, no playlist, no file that another file
// names.
class Demuxer {
 public:
  // The guard must outlive the demuxer.
  static Result<std::unique_ptr<Demuxer>> Open(MediaSource media, const DecodeLimits& limits,
                                               const JobGuard& guard);

  // The next packet of the stream, never an empty one; false at the end. One packet is one picture: the two
  // fields of one that come in packets of their own are joined, and MPEG-4's two pictures in one packet, with
  // an empty one behind it, are taken apart. Damage that the demuxer cannot get over ends the stream and is
  // kept in `damage()`.
  Result<bool> Read(AVPacket& packet);

  // Moves to a keyframe at or before `timestamp`, as well as the container can: what is read next says where
  // that was. False when it cannot.
  bool Seek(std::int64_t timestamp);
  // Moves to the first packet, by opening anew: works for every container.
  Status Rewind();

  Source& source() { return *source_; }
  const JobGuard& guard() const { return guard_; }
  std::int64_t bytes_read() const { return earlier_bytes_ + source_->bytes_read(); }
  const AVStream& stream() const { return *stream_; }
  const AVCodecParameters& parameters() const { return *stream_->codecpar; }
  // Short names, e.g. "mp4" and "h264".
  std::string container() const;
  std::string codec() const { return avcodec_get_name(parameters().codec_id); }
  // Seconds between two pictures as the container says, or 1/25.
  double frame_seconds() const;
  // Of the whole video in seconds, or 0 when the container does not say.
  double duration() const;
  // Why the stream ended before its end, in our words, or empty. What was seen once stays: it is true of the
  // file, whichever part of it is read next.
  const std::string& damage() const { return damage_; }
  // Whether files of this kind are made by writing one behind the other, clocks and headers included
  // (broadcasts, DVDs, live streams that broke off): then a time may come twice, and the parameter sets that
  // hold somewhere are known only to who has read all before.
  bool may_be_joined() const;
  // Byte positions of packets and their times come from tables in the container (mp4, mov).
  bool has_sample_tables() const { return has_sample_tables_; }
  // Whether packets are looked into to find those that are one picture.
  bool joins_fields() const { return parser_.has_value(); }

 private:
  Demuxer(MediaSource media, const DecodeLimits& limits, const JobGuard& guard)
      : media_(std::move(media)), limits_(limits), guard_(guard) {}

  Status OpenContainer();
  Status ChooseStream();
  bool ParametersComplete() const;
  Status FindStreamInfo();
  Status ReadError(int error, const std::string& what) const;
  Status TooMuch() const;
  std::int64_t MostRead() const;
  Result<bool> ReadPacket(AVPacket& packet);
  Result<bool> Unpack(AVPacket& packet);
  Status CheckSize(const AVPacket& packet) const;
  bool SamplesAreMissing() const;
  Status EncryptedStream(const std::string& scheme) const;

  MediaSource media_;
  DecodeLimits limits_;
  const JobGuard& guard_;
  std::unique_ptr<Source> source_;  // outlives format_, which reads from it
  ff::FormatContext format_;
  AVStream* stream_ = nullptr;
  bool has_sample_tables_ = false;
  bool container_is_checked_ = false;  // what was seen once holds when it is opened anew
  bool probing_is_checked_ = false;
  std::optional<BitstreamFilter> unpacker_;  // of MPEG-4
  std::optional<TheoraTimes> theora_times_;
  std::optional<PictureParser> parser_;  // of a stream whose fields may come one by one
  ff::Packet ahead_;                     // read to see whether it is a second field, and is none
  std::int64_t earlier_bytes_ = 0;       // read before the last Rewind
  std::string damage_;
};

}  // namespace cosmos
