// Reads the packets of one video stream of a container.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "ffmpeg/bitstream_filter.h"
#include "ffmpeg/ffmpeg.h"
#include "media/bitstream/picture_parser.h"
#include "media/clip_types.h"
#include "media/demux/source.h"
#include "media/demux/theora_times.h"
#include "media/limits/job_guard.h"

namespace cosmos {

// Opens only what the allow lists name: no protocols, no playlists, no files that refer to others.
class Demuxer {
 public:
  // The guard must outlive the demuxer.
  static Result<std::unique_ptr<Demuxer>> Open(MediaSource media, const DecodeLimits& limits,
                                               const JobGuard& guard);

  // Reads the next packet of the stream, never an empty one; returns false at the end. Each packet is one
  // picture: the two fields of a picture in separate packets are joined, and the two pictures that MPEG-4
  // stores in one packet (packed B-frames) are split. Damage that the demuxer cannot skip ends the stream and
  // is reported by damage().
  Result<bool> Read(AVPacket& packet);

  // Seeks to a keyframe at or before `timestamp`, as precisely as the container allows; the next packet shows
  // where. Returns false when it cannot.
  bool Seek(std::int64_t timestamp);
  // Begins again at this byte, which must be the first of a packet of a raw stream. Returns false when it
  // cannot.
  bool SeekToByte(std::int64_t position);
  // Returns to the first packet by reopening the container, which works for every format.
  Status Rewind();

  Source& source() { return *source_; }
  const JobGuard& guard() const { return guard_; }
  std::int64_t bytes_read() const { return earlier_bytes_ + source_->bytes_read(); }
  // Both are gone after Rewind: ask again instead of keeping them.
  const AVStream& stream() const { return *stream_; }
  const AVCodecParameters& parameters() const { return *stream_->codecpar; }
  // Short names, e.g. "mp4" and "h264".
  std::string container() const;
  std::string codec() const { return avcodec_get_name(parameters().codec_id); }
  // Seconds between two pictures as declared by the container, or 1/25.
  double frame_seconds() const;
  // Duration of the whole video in seconds, or 0 when the container declares none.
  double duration() const;
  // Why the stream ended early, or empty. Kept once set: it holds for the file, whichever part is read next.
  const std::string& damage() const { return damage_; }
  // Whether files of this format are commonly concatenated with clocks and headers included (broadcasts,
  // DVDs, interrupted live streams). Then times may recur, and the parameter sets that apply somewhere are
  // known only after reading everything before.
  bool may_be_concatenated() const;
  // Whether the file is nothing but packets of H.264 or HEVC, so that reading can begin at any of them.
  bool is_raw() const;
  // Whether tables in the container give the positions and times of packets (mp4, mov).
  bool has_sample_tables() const { return has_sample_tables_; }
  // Whether each packet is a sample of MP4 as it is: nothing joins, divides or filters them.
  bool packets_are_samples() const {
    return has_sample_tables_ && !joins_fields() && !av_stream_get_parser(stream_) && !b_frame_unpacker_;
  }
  // Whether packets are parsed to join the two fields of a picture.
  bool joins_fields() const { return parser_.has_value(); }

 private:
  Demuxer(MediaSource media, const DecodeLimits& limits, const JobGuard& guard)
      : media_(std::move(media)), limits_(limits), guard_(guard) {}

  Status OpenContainer();
  Status ChooseStream();
  bool ParametersComplete() const;
  Status FindFirstTime();
  Status FindStreamInfo();
  Status UnknownContainer(int error);
  Status ReadError(int error, const std::string& what) const;
  Status MemoryError() const;
  std::int64_t MaxReadBytes() const;
  Result<bool> ReadPacket(AVPacket& packet);
  Result<bool> HoldBack(AVPacket& packet);
  Result<bool> Prepare(AVPacket& packet);
  Result<bool> Unpack(AVPacket& packet);
  Status CheckSize(const AVPacket& packet) const;
  bool IsTruncated() const;
  Status EncryptionError(const std::string& scheme) const;

  MediaSource media_;
  DecodeLimits limits_;
  const JobGuard& guard_;
  std::unique_ptr<Source> source_;  // outlives format_, which reads from it
  ff::FormatContext format_;
  AVStream* stream_ = nullptr;
  bool has_sample_tables_ = false;
  bool container_is_checked_ = false;  // still holds after Rewind
  bool probing_is_checked_ = false;
  bool lacks_first_times_ = false;
  std::optional<BitstreamFilter> b_frame_unpacker_;  // for MPEG-4
  std::optional<TheoraTimes> theora_times_;
  std::optional<PictureParser> parser_;  // for streams with fields in separate packets
  ff::Packet lookahead_;                 // read in search of a second field, to be returned next
  ff::Packet held_back_;                 // may be cut off by the end of the file
  std::int64_t earlier_bytes_ = 0;       // bytes read before the last Rewind
  std::string damage_;
};

}  // namespace cosmos
