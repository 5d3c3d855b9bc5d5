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

// Reordering holds back at most 16 pictures, of 2 fields each: once this many packets are past a time, no
// packet that is still to come is before it.
constexpr int kSettled = 33;

class Scanner {
 public:
  Scanner(Demuxer& demuxer, const DecodeLimits& limits) : demuxer_(demuxer), limits_(limits) {}

  // Indexes the whole stream.
  Status ReadAll() {
    // With times and flags in tables and no parser that wants to see data, no data need be read. VP8 alone
    // says inside the packet whether it is shown.
    from_tables_ = demuxer_.has_sample_tables() && !demuxer_.joins_fields() &&
                   !av_stream_get_parser(&demuxer_.stream()) &&
                   demuxer_.parameters().codec_id != AV_CODEC_ID_VP8;
    if (from_tables_) demuxer_.source().PretendToRead(SampleRanges(demuxer_.stream()));
    Status status = ReadUntil([](const IndexedPacket&) { return false; });
    if (from_tables_) demuxer_.source().PretendToRead({});
    return status;
  }

  // Indexes from a keyframe at or before `start` to `end`, both in seconds. False when the container's times
  // do not allow that; then the scanner is of no further use and the demuxer stands anywhere.
  Result<bool> ReadRange(double start, std::optional<double> end) {
    is_part_ = true;
    if (Status status = FindOrigin(); !status.ok()) return status;
    if (!has_times_ || packets_.empty()) return false;
    const double tick = av_q2d(demuxer_.stream().time_base);
    auto found = SeekTo(*origin_ + static_cast<std::int64_t>(start / tick), tick);
    if (!found.ok() || !found.value()) return found;
    int past_end = 0;
    Status status = ReadUntil([&](const IndexedPacket& packet) {
      if (end && packet.pts >= *origin_ + static_cast<std::int64_t>(std::ceil(*end / tick))) ++past_end;
      return !has_times_ || past_end >= kSettled;
    });
    if (!status.ok()) return status;
    return has_times_ && FrameIndex(packets_).seekable();
  }

  Result<VideoScan> Finish() {
    if (packets_.empty()) {
      return Status(StatusCode::kMedia,
                    "the video stream of the " + demuxer_.container() + " has no pictures")
          .With("container", demuxer_.container())
          .With("codec", demuxer_.codec());
    }
    VideoScan scan;
    if (has_times_) {
      HidePicturesBeforeTheFirstKeyframe();
      // The same times may come again in the part of such a file that was not read: they name no packet there.
      const bool ambiguous = is_part_ && demuxer_.may_be_joined();
      scan.index = FrameIndex(std::move(packets_), /*made_up=*/ambiguous);
      scan.tick = av_q2d(demuxer_.stream().time_base);
    } else {
      const std::vector<std::int64_t> numbers = order_.Take();
      for (std::size_t i = 0; i < packets_.size(); ++i) packets_[i].pts = numbers[i];
      HidePicturesBeforeTheFirstKeyframe();
      const FrameIndex ordered(packets_);
      const std::vector<std::int64_t> slots = Slots();
      for (std::size_t i = 0; i < packets_.size(); ++i) {
        const int order = ordered.order(static_cast<int>(i));
        packets_[i].pts = slots.empty() ? order : slots[static_cast<std::size_t>(order)];
      }
      scan.index = FrameIndex(std::move(packets_), /*made_up=*/true);
      scan.tick = slots.empty() ? demuxer_.frame_seconds() : av_q2d(demuxer_.stream().time_base);
      if (slots.size() > 1) {
        scan.frame_seconds =
            scan.tick * static_cast<double>(slots.back() - slots.front()) / static_cast<double>(slots.size() - 1);
      }
    }
    if (scan.index.frame_count() == 0) {
      return Status(StatusCode::kMedia, "no picture of the video is ever shown")
          .With("container", demuxer_.container())
          .With("codec", demuxer_.codec());
    }
    scan.parameter_sets = std::move(parameter_sets_);
    scan.origin = origin_.value_or(scan.index.time(0));
    if (scan.frame_seconds <= 0) scan.frame_seconds = demuxer_.frame_seconds();
    return scan;
  }

 private:
  // Reads the first packets: the earliest that is shown is second 0.
  Status FindOrigin() {
    int read = 0;  // from the first keyframe on
    Status status = ReadUntil([&](const IndexedPacket& packet) {
      if (read > 0 || packet.keyframe) ++read;
      return read >= kSettled || !has_times_;
    });
    if (!status.ok()) return status;
    HidePicturesBeforeTheFirstKeyframe();
    for (const IndexedPacket& packet : packets_) {
      if (packet.shown) origin_ = std::min(origin_.value_or(packet.pts), packet.pts);
    }
    has_times_ = has_times_ && origin_.has_value();
    return {};
  }

  // Leaves the first packet from a keyframe at or before `time` on in packets_. Containers differ in how well
  // they seek, so what comes is looked at, and if it is too late the next try goes further back.
  Result<bool> SeekTo(std::int64_t time, double tick) {
    const auto packet_of_head = std::ranges::find_if(
        packets_, [&](const IndexedPacket& packet) { return packet.keyframe && packet.pts > time; });
    const bool in_head = packet_of_head != packets_.end() || time <= packets_.front().pts;
    if (in_head || demuxer_.may_be_joined()) return true;
    // 0, 1, 3, 7, ... seconds.
    const auto second = static_cast<std::int64_t>(1 / tick);
    for (std::int64_t back = 0; time - back > *origin_; back = 2 * back + std::max<std::int64_t>(second, 1)) {
      if (!demuxer_.Seek(time - back)) break;
      packets_.clear();
      order_ = PictureOrder(demuxer_.parameters());
      Status status = ReadUntil([&](const IndexedPacket& packet) { return packet.keyframe || !has_times_; });
      if (!status.ok()) return status;
      if (!has_times_) return false;
      if (packets_.empty() || !packets_.back().keyframe || packets_.back().pts > time) continue;
      packets_.erase(packets_.begin(), packets_.end() - 1);
      return true;
    }
    packets_.clear();
    order_ = PictureOrder(demuxer_.parameters());
    if (Status status = demuxer_.Rewind(); !status.ok()) return status;
    return true;
  }

  // Reads to the end of the stream or to a packet that `stop` says yes to.
  Status ReadUntil(const std::function<bool(const IndexedPacket&)>& stop) {
    const ff::Packet packet(av_packet_alloc());
    if (!packet) return {StatusCode::kOutOfMemory, "no memory for a packet"};
    for (;;) {
      auto read = demuxer_.Read(*packet);
      if (!read.ok()) return read.TakeStatus();
      if (!read.value()) return {};
      Add(*packet);
      const auto bytes = static_cast<std::int64_t>(packets_.size()) * kIndexBytesPerPacket;
      if (bytes > limits_.max_bytes) {
        return Status(StatusCode::kLimit, "the index of " + std::to_string(packets_.size()) +
                                              " packets needs more memory than the limit maxBytes of " +
                                              std::to_string(limits_.max_bytes) + " bytes")
            .With("limit", static_cast<double>(limits_.max_bytes));
      }
      if (stop(packets_.back())) return {};
    }
  }

  void Add(const AVPacket& packet) {
    IndexedPacket indexed;
    if (packet.pts != AV_NOPTS_VALUE) indexed.pts = packet.pts;
    if (packet.dts != AV_NOPTS_VALUE) indexed.dts = packet.dts;
    indexed.keyframe = packet.flags & AV_PKT_FLAG_KEY;
    indexed.shown = !(packet.flags & AV_PKT_FLAG_DISCARD);
    if (!from_tables_) {
      const std::span data(packet.data, static_cast<std::size_t>(packet.size));
      if (IsHidden(demuxer_.parameters().codec_id, data)) indexed.shown = false;
      indexed.keyframe = indexed.keyframe && IsIntra(demuxer_.parameters(), packet);
      if (packets_.empty()) leading_are_whole_ = LeadingPicturesAreWhole(demuxer_.parameters(), data);
      order_.Add(packet);
    }
    if (indexed.pts == IndexedPacket::kNoTime) has_times_ = false;
    parameter_sets_.Note(static_cast<int>(packets_.size()), packet);
    packets_.push_back(indexed);
  }

  // An AVI has no times but one slot after the other, some of them empty: the first picture that is shown is
  // shown in the first that is not. Empty where slots tell nothing.
  std::vector<std::int64_t> Slots() const {
    std::vector<std::int64_t> slots;
    if (demuxer_.container() != "avi") return slots;
    for (const IndexedPacket& packet : packets_) {
      if (packet.dts == IndexedPacket::kNoTime || (!slots.empty() && packet.dts <= slots.back())) return {};
      slots.push_back(packet.dts);
    }
    return slots;
  }

  // A recording that was cut out of a longer one begins with pictures that lean on what was cut off.
  void HidePicturesBeforeTheFirstKeyframe() {
    const auto first = std::ranges::find_if(packets_, &IndexedPacket::keyframe);
    if (first == packets_.end()) return;
    std::for_each(packets_.begin(), first, [](IndexedPacket& packet) { packet.shown = false; });
    if (leading_are_whole_ && first == packets_.begin()) return;
    const auto next = std::find_if(first + 1, packets_.end(), std::mem_fn(&IndexedPacket::keyframe));
    std::for_each(first + 1, next, [&](IndexedPacket& packet) {
      if (packet.pts < first->pts) packet.shown = false;
    });
  }

  Demuxer& demuxer_;
  const DecodeLimits& limits_;
  PictureOrder order_{demuxer_.parameters()};
  ParameterSets parameter_sets_{demuxer_.parameters()};
  std::vector<IndexedPacket> packets_;
  std::optional<std::int64_t> origin_;
  bool has_times_ = true;
  bool from_tables_ = false;
  bool is_part_ = false;  // more may follow
  bool leading_are_whole_ = true;  // if the stream begins with a keyframe
};

}  // namespace

std::int64_t VideoScan::TimeAt(double seconds) const {
  // A time that was written in seconds is meant to name a tick, whatever binary fractions made of it.
  constexpr double kRounding = 1e-3;
  return origin + static_cast<std::int64_t>(std::ceil(seconds / tick - kRounding));
}

Result<VideoScan> ScanVideo(Demuxer& demuxer, double start, std::optional<double> end,
                            const DecodeLimits& limits) {
  // An index from tables costs no reading, so a part of it would save nothing.
  if ((start > 0 || end) && !demuxer.has_sample_tables()) {
    Scanner scanner(demuxer, limits);
    auto indexed = scanner.ReadRange(start, end);
    if (!indexed.ok()) return indexed.TakeStatus();
    if (indexed.value()) return scanner.Finish();
    if (Status status = demuxer.Rewind(); !status.ok()) return status;
  }
  Scanner scanner(demuxer, limits);
  if (Status status = scanner.ReadAll(); !status.ok()) return status;
  return scanner.Finish();
}

}  // namespace cosmos
