#include "media/video_scan.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>

#include "media/bitstream.h"

namespace cosmos {
namespace {

// What one packet costs in a FrameIndex, about.
constexpr std::int64_t kIndexBytesPerPacket = 64;

// The byte ranges of the stream's packets, as an mp4's tables have them.
std::vector<ByteRange> SampleRanges(const AVStream& stream) {
  auto* entries_of = const_cast<AVStream*>(&stream);
  const int count = avformat_index_get_entries_count(entries_of);
  std::vector<ByteRange> ranges;
  ranges.reserve(count);
  for (int i = 0; i < count; ++i) {
    const AVIndexEntry* entry = avformat_index_get_entry(entries_of, i);
    ranges.push_back({entry->pos, entry->pos + entry->size});
  }
  std::ranges::sort(ranges, {}, &ByteRange::begin);
  std::vector<ByteRange> merged;
  for (const ByteRange& range : ranges) {
    if (!merged.empty() && range.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, range.end);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

class Scanner {
 public:
  Scanner(Demuxer& demuxer, const DecodeLimits& limits) : demuxer_(demuxer), limits_(limits) {}

  // Reads to the end of the stream.
  Status ReadAll() {
    // With times and flags in tables and no parser that wants to see data, no data need be read.
    const bool from_tables =
        demuxer_.has_sample_tables() && !av_stream_get_parser(&demuxer_.stream()) && !needs_data();
    if (from_tables) demuxer_.source().PretendToRead(SampleRanges(demuxer_.stream()));
    Status status = ReadPackets(!from_tables);
    if (from_tables) demuxer_.source().PretendToRead({});
    return status;
  }

  Result<VideoScan> Finish() {
    if (packets_.empty()) {
      return Status(StatusCode::kMedia,
                    "the video stream of the " + demuxer_.container() + " has no pictures")
          .With("container", demuxer_.container())
          .With("codec", demuxer_.codec());
    }
    HidePicturesBeforeTheFirstKeyframe();
    VideoScan scan;
    if (has_times_) {
      scan.index = FrameIndex(std::move(packets_));
      scan.tick = av_q2d(demuxer_.stream().time_base);
    } else {
      const std::vector<std::int64_t> numbers = order_.Take();
      for (std::size_t i = 0; i < packets_.size(); ++i) packets_[i].pts = numbers[i];
      const FrameIndex ordered(packets_);
      for (std::size_t i = 0; i < packets_.size(); ++i) packets_[i].pts = ordered.order(static_cast<int>(i));
      scan.index = FrameIndex(std::move(packets_), /*made_up=*/true);
      scan.tick = demuxer_.frame_seconds();
    }
    if (scan.index.frame_count() == 0) {
      return Status(StatusCode::kMedia, "no picture of the video is ever shown")
          .With("container", demuxer_.container())
          .With("codec", demuxer_.codec());
    }
    scan.origin = scan.index.time(0);
    scan.frame_seconds = demuxer_.frame_seconds();
    return scan;
  }

 private:
  // VP8 and VP9 say inside the packet whether it is shown. In mp4 every sample is.
  bool needs_data() const { return demuxer_.parameters().codec_id == AV_CODEC_ID_VP8; }

  Status ReadPackets(bool has_data) {
    const ff::Packet packet(av_packet_alloc());
    if (!packet) return {StatusCode::kOutOfMemory, "no memory for a packet"};
    for (;;) {
      auto read = demuxer_.Read(*packet);
      if (!read.ok()) return read.TakeStatus();
      if (!read.value()) return {};
      Add(*packet, has_data);
      const auto bytes = static_cast<std::int64_t>(packets_.size()) * kIndexBytesPerPacket;
      if (bytes > limits_.max_bytes) {
        return Status(StatusCode::kLimit, "the index of " + std::to_string(packets_.size()) +
                                              " packets needs more memory than the limit maxBytes of " +
                                              std::to_string(limits_.max_bytes) + " bytes")
            .With("limit", static_cast<double>(limits_.max_bytes));
      }
    }
  }

  void Add(const AVPacket& packet, bool has_data) {
    IndexedPacket indexed;
    if (packet.pts != AV_NOPTS_VALUE) indexed.pts = packet.pts;
    if (packet.dts != AV_NOPTS_VALUE) indexed.dts = packet.dts;
    indexed.keyframe = packet.flags & AV_PKT_FLAG_KEY;
    indexed.shown = !(packet.flags & AV_PKT_FLAG_DISCARD);
    if (has_data) {
      const std::span data(packet.data, static_cast<std::size_t>(packet.size));
      if (IsHidden(demuxer_.parameters().codec_id, data)) indexed.shown = false;
      order_.Add(packet);
    }
    if (indexed.pts == IndexedPacket::kNoTime) has_times_ = false;
    packets_.push_back(indexed);
  }

  // They lean on pictures that the file does not have.
  void HidePicturesBeforeTheFirstKeyframe() {
    const auto first = std::ranges::find_if(packets_, &IndexedPacket::keyframe);
    if (first == packets_.end()) return;
    std::for_each(packets_.begin(), first, [](IndexedPacket& packet) { packet.shown = false; });
  }

  Demuxer& demuxer_;
  const DecodeLimits& limits_;
  PictureOrder order_{demuxer_.parameters()};
  std::vector<IndexedPacket> packets_;
  bool has_times_ = true;
};

}  // namespace

std::int64_t VideoScan::TimeAt(double seconds) const {
  // A time that was written in seconds is meant to name a tick, whatever binary fractions made of it.
  constexpr double kRounding = 1e-3;
  return origin + static_cast<std::int64_t>(std::ceil(seconds / tick - kRounding));
}

Result<VideoScan> ScanVideo(Demuxer& demuxer, double /*start*/, std::optional<double> /*end*/,
                            const DecodeLimits& limits) {
  Scanner scanner(demuxer, limits);
  if (Status status = scanner.ReadAll(); !status.ok()) return status;
  return scanner.Finish();
}

}  // namespace cosmos
