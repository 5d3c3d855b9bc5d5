#include "media/scan/video_scan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <string>
#include <utility>

#include "media/bitstream/access_unit.h"
#include "media/bitstream/loss_check.h"
#include "media/bitstream/picture_order.h"
#include "media/decode/software_decoder.h"
#include "media/demux/sample_tables.h"
#include "media/scan/head_decode.h"

namespace cosmos {
namespace {

// An estimate of the memory that a packet takes in a FrameIndex.
constexpr std::int64_t kIndexBytesPerPacket = 96;

// Reordering delays at most 16 pictures of 2 fields each: after this many packets past a time, no packet
// before that time follows.
constexpr int kMaxReordered = 33;

// Clamps callers' seconds, so that ticks fit an int64 and can be added.
std::int64_t Ticks(double seconds, double tick) {
  constexpr std::int64_t kHalf = kMaxTime / 2;
  constexpr auto kMax = static_cast<double>(kHalf);
  return static_cast<std::int64_t>(std::clamp(seconds / tick, -kMax, kMax));
}

class Scanner {
 public:
  Scanner(Demuxer& demuxer, const DecodeLimits& limits) : demuxer_(demuxer), limits_(limits) {}

  // Indexes the whole stream.
  Status ReadAll() {
    return ReadUntil([](const IndexedPacket&) { return false; });
  }

  // Indexes the whole stream from the container's tables and a little of the data. Returns false when these
  // disagree or are not enough. Then the scanner must not be used again, and the demuxer's position is
  // unspecified.
  Result<bool> ReadTables() {
    from_tables_ = true;
    demuxer_.source().SkipRanges(RangesToSkip(demuxer_.stream()));
    Status status = ReadAll();
    demuxer_.source().SkipRanges({});
    if (!status.ok()) return status;
    return TablesAreRight();
  }

  // Indexes from a keyframe at or before `start` to `end`, both in seconds. Returns false when the
  // container's times do not allow that. Then the scanner must not be used again, and the demuxer's position
  // is unspecified.
  Result<bool> ReadRange(double start, std::optional<double> end) {
    is_part_ = true;
    if (Status status = FindOrigin(); !status.ok()) return status;
    if (!origin_) return false;
    const double tick = av_q2d(demuxer_.stream().time_base);
    auto found = SeekTo(*origin_ + Ticks(start, tick), tick);
    if (!found.ok() || !found.value()) return found;
    const std::int64_t past = *origin_ + (end ? Ticks(*end, tick) + 1 : kMaxTime);
    int past_end = 0;
    Status status = ReadUntil([&](const IndexedPacket& packet) {
      if (packet.pts >= past) ++past_end;
      return !has_times_ || past_end >= kMaxReordered;
    });
    if (!status.ok()) return status;
    return Index().seekable() && times_are_right_ && last_discard_ == 0;
  }

  Result<VideoScan> Finish() {
    if (packets_.empty())
      return NoPictures("the video stream of the " + demuxer_.container() + " has no pictures");
    VideoScan scan;
    COSMOS_ASSIGN_OR_RETURN(auto index, IndexOfShown());
    scan.index = std::move(index);
    if (scan.index.frame_count() == 0) return NoPictures("no picture of the video is ever shown");
    scan.tick = has_times_ || has_dts_ ? av_q2d(demuxer_.stream().time_base) : demuxer_.frame_seconds();
    // The unread part of such a file may repeat the same times.
    if (is_part_ && demuxer_.may_be_concatenated()) scan.index.ForbidSeeking();
    if (last_discard_ > 0) scan.index.ForbidSkipping();
    scan.index.MarkLosses(losses_.Losses());
    scan.parameter_sets = std::move(parameter_sets_);
    scan.origin = origin_.value_or(scan.index.time(0));
    scan.frame_seconds = FrameSeconds(scan);
    return scan;
  }

 private:
  // AVI often has more frame slots than pictures and leaves the others empty, so the slot duration is too
  // short. After a clock reset, the rate that FFmpeg estimated is meaningless.
  double FrameSeconds(const VideoScan& scan) const {
    const int last = scan.index.frame_count() - 1;
    const bool from_slots = !has_times_ && has_dts_;
    if (last < 1 || !(from_slots || scan.index.has_clock_resets())) return demuxer_.frame_seconds();
    return static_cast<double>(scan.index.time(last) - scan.index.time(0)) * scan.tick / last;
  }

  Status NoPictures(std::string message) const {
    return Status(StatusCode::kMedia, std::move(message))
        .With("container", demuxer_.container())
        .With("codec", demuxer_.codec());
  }

  Status FindOrigin() {
    int read = 0;  // from the first keyframe on
    Status status = ReadUntil([&](const IndexedPacket& packet) {
      if (read > 0 || packet.keyframe) ++read;
      return read >= kMaxReordered || !has_times_;
    });
    if (!status.ok() || !has_times_ || packets_.empty()) return status;
    COSMOS_ASSIGN_OR_RETURN(auto index, IndexOfShown());
    if (times_are_right_ && index.frame_count() > 0) origin_ = index.time(0);
    return {};
  }

  // Seeks to a keyframe at or before `time` and leaves only its packet in packets_, or keeps the head.
  // Containers seek more or less exactly, so each retry seeks further back.
  Result<bool> SeekTo(std::int64_t time, double tick) {
    const bool in_head =
        time <= packets_.front().pts || std::ranges::any_of(packets_, [&](const auto& packet) {
          return packet.keyframe && packet.pts > time;
        });
    if (in_head || demuxer_.may_be_concatenated()) return ContinueAfterHead();
    // 0, 1, 3, 7, ... seconds back.
    const auto second = static_cast<std::int64_t>(1 / tick);
    for (std::int64_t back = 0; time - back > *origin_; back = 2 * back + std::max<std::int64_t>(second, 1)) {
      if (!demuxer_.Seek(time - back)) break;
      Clear();
      Status status = ReadUntil([&](const IndexedPacket& packet) { return packet.keyframe || !has_times_; });
      if (!status.ok()) return status;
      if (!has_times_) return false;
      if (packets_.empty() || !packets_.back().keyframe || packets_.back().pts > time) continue;
      order_.Forget(static_cast<int>(packets_.size()) - 1);
      losses_.Forget(static_cast<int>(packets_.size()) - 1);
      packets_.erase(packets_.begin(), packets_.end() - 1);
      at_head_ = false;
      return true;
    }
    Clear();
    if (Status status = demuxer_.Rewind(); !status.ok()) return status;
    return true;
  }

  Result<bool> ContinueAfterHead() {
    if (!head_was_decoded_) return true;
    COSMOS_RETURN_IF_ERROR(demuxer_.Rewind());
    const ff::Packet packet(av_packet_alloc());
    if (!packet) return Status(StatusCode::kOutOfMemory, "no memory for a packet");
    for (std::size_t i = 0; i < packets_.size(); ++i) {
      auto read = demuxer_.Read(*packet);
      if (!read.ok()) return read;
    }
    return true;
  }

  void Clear() {
    packets_.clear();
    flagged_.clear();
    order_ = PictureOrder(demuxer_.parameters());
    reader_ = AccessUnitReader(demuxer_.parameters());
    losses_ = LossCheck(demuxer_.parameters(), demuxer_.container() == "mpegts");
  }

  // Reads to the end of the stream, or until `stop` returns true for a packet.
  Status ReadUntil(const std::function<bool(const IndexedPacket&)>& stop) {
    const ff::Packet packet(av_packet_alloc());
    if (!packet) return {StatusCode::kOutOfMemory, "no memory for a packet"};
    for (;;) {
      COSMOS_ASSIGN_OR_RETURN(auto read, demuxer_.Read(*packet));
      if (!read) return {};
      COSMOS_RETURN_IF_ERROR(CheckTimes(*packet));
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

  // Refuses times that could overflow in sums. No video lasts this long in any unit.
  Status CheckTimes(const AVPacket& packet) const {
    for (const std::int64_t time : {packet.pts, packet.dts}) {
      if (time == AV_NOPTS_VALUE || (time >= -kMaxTime && time <= kMaxTime)) continue;
      return Status(StatusCode::kMedia, "packet " + std::to_string(packets_.size()) + " of the " +
                                            demuxer_.container() + " has the time " + std::to_string(time) +
                                            ", which is out of range")
          .With("container", demuxer_.container())
          .With("codec", demuxer_.codec());
    }
    return {};
  }

  AccessUnit ReadUnit(const AVPacket& packet) {
    if (!from_tables_) return reader_.Read(packet);
    const std::int64_t known = demuxer_.source().ReadableBytesAt(packet.pos);
    const AccessUnit unit = reader_.Read(packet, known);
    if (unit.read || known <= 0 || demuxer_.parameters().codec_id != AV_CODEC_ID_VP9) return unit;
    std::array<std::uint8_t, AccessUnitReader::kEndBytes> end{};
    const std::int64_t position = packet.pos + packet.size - std::ssize(end);
    if (demuxer_.source().Peek(position, end) < end.size()) return unit;
    return reader_.Read(packet, known, end);
  }

  void Add(const AVPacket& packet) {
    const AccessUnit unit = ReadUnit(packet);
    const bool flagged = (packet.flags & AV_PKT_FLAG_KEY) != 0;
    IndexedPacket indexed;
    if (packet.pts != AV_NOPTS_VALUE) indexed.pts = packet.pts;
    if (packet.dts != AV_NOPTS_VALUE) indexed.dts = packet.dts;
    if (demuxer_.is_raw()) indexed.position = packet.pos;
    if (demuxer_.packets_are_samples()) indexed.size = packet.size;
    indexed.has_picture = unit.has_picture;
    indexed.keyframe = unit.random_access || (flagged && unit.intra);
    if (unit.random_access) drops_rasl_ = unit.drops_rasl;
    if (unit.discards_earlier && !packets_.empty()) last_discard_ = static_cast<int>(packets_.size());
    indexed.shown = unit.has_picture && !unit.hidden && !(unit.is_rasl && drops_rasl_) &&
                    !(packet.flags & AV_PKT_FLAG_DISCARD);
    if (flagged && unit.has_picture && !indexed.keyframe) flags_are_wrong_ = true;
    hides_pictures_ = hides_pictures_ || unit.hidden;
    if (indexed.keyframe && !unit.random_access) flagged_.push_back(static_cast<int>(packets_.size()));
    if (indexed.keyframe && !seen_keyframe_) first_is_closed_ = unit.closed;
    seen_keyframe_ = seen_keyframe_ || indexed.keyframe;
    if (indexed.pts == IndexedPacket::kNoTime) has_times_ = false;
    parameter_sets_.Observe(static_cast<int>(packets_.size()), packet);
    const bool rises = indexed.dts > latest_dts_ || (indexed.keyframe && indexed.dts < latest_dts_);
    if (indexed.dts == IndexedPacket::kNoTime || !rises) has_dts_ = false;
    latest_dts_ = indexed.dts;
    knows_order_ = knows_order_ && (!from_tables_ || unit.read);
    if (knows_order_) order_.Add(packet, unit);
    losses_.Add(packet);
    packets_.push_back(indexed);
  }

  // Whether the data that was read agrees with the tables. Tables without composition times look like a
  // stream without reordering; then the decoder's delay shows whether the stream reorders pictures.
  bool TablesAreRight() {
    if (flags_are_wrong_ || !has_times_ || last_discard_ > 0 || hides_pictures_) return false;
    tables_ = IndexBy(packets_);
    const FrameIndex& index = *tables_;
    if (!index.seekable() || index.reorder_depth() > PictureOrder::kMaxReordered || IsContradicted(index))
      return false;
    const AVCodecID codec = demuxer_.parameters().codec_id;
    const bool reorders = codec == AV_CODEC_ID_H264 || codec == AV_CODEC_ID_HEVC;
    if (index.reorder_depth() > 0 || !reorders) return true;
    auto decoder = SoftwareDecoder::Open(
        demuxer_.parameters(), {.threads = 1, .time_base = demuxer_.stream().time_base, .limits = limits_});
    return !decoder.ok() || decoder.value()->delay() == 0;
  }

  // Whether a decoder would show the pictures in another order than the container's times: these repeat, are
  // decoding times, or come from a clock that steps back.
  bool IsContradicted(const FrameIndex& by_pts) const {
    const std::vector<int> display = order_.Display();
    if (!order_.IsReliable(display)) return false;
    int before = -1;
    for (const int place : display) {
      if (!packets_[place].has_picture) continue;
      if (by_pts.order(place) < before) return true;
      before = by_pts.order(place);
    }
    return false;
  }

  // FFmpeg drops samples of an MP4 that are decoded before others in front of them.
  FrameIndex IndexBy(std::vector<IndexedPacket> packets, bool synthetic_times = false,
                     std::vector<int> display = {}) const {
    return FrameIndex(std::move(packets), synthetic_times, std::move(display), demuxer_.has_sample_tables());
  }

  FrameIndex Index() {
    if (tables_) return *std::exchange(tables_, std::nullopt);
    // A flagged intra picture is a keyframe if the container's flags are right.
    for (const int place : flagged_) packets_[place].keyframe = !flags_are_wrong_;
    if (has_times_) {
      FrameIndex by_pts = IndexBy(packets_);
      if (!IsContradicted(by_pts)) return by_pts;
    }
    times_are_right_ = false;
    std::vector<IndexedPacket> packets = packets_;
    std::vector<int> display = order_.Display();
    if (!has_times_) {
      for (std::size_t order = 0; order < display.size(); ++order) {
        IndexedPacket& packet = packets[display[order]];
        packet.pts = has_dts_ ? packet.dts : static_cast<std::int64_t>(order);
      }
    }
    return IndexBy(std::move(packets), /*synthetic_times=*/!has_times_, std::move(display));
  }

  // Builds the index after finding out which of the first pictures are shown.
  Result<FrameIndex> IndexOfShown() {
    FrameIndex index = Index();
    if (!at_head_) {
      for (int place = 1; place < EndOfLeading(index, 0); ++place) {
        if (index.order(place) < index.order(0)) packets_[place].shown = false;
      }
      return Index();
    }
    const int uncertain = head_was_decoded_ ? 0 : UncertainPackets(index);
    if (uncertain == 0) return index;
    head_was_decoded_ = true;
    COSMOS_ASSIGN_OR_RETURN(auto shown, FindShownInHead(demuxer_, index, uncertain, limits_));
    for (std::size_t place = 0; place < shown.size(); ++place) {
      if (shown[place]) continue;
      // The head is longer than the packets that were read, so a range cannot be indexed without it.
      if (place < packets_.size())
        packets_[place].shown = false;
      else
        times_are_right_ = false;
    }
    return Index();
  }

  // The number of first packets whose pictures may refer to missing ones, or be discarded by a later one.
  int UncertainPackets(const FrameIndex& index) const {
    if (last_discard_ > 0) return last_discard_;
    const auto found = std::ranges::find_if(packets_, &IndexedPacket::keyframe);
    const auto first = static_cast<int>(found - packets_.begin());
    const int end = found == packets_.end() ? first : EndOfLeading(index, first);
    if (end > first + 1 && !first_is_closed_) return end;
    return std::any_of(packets_.begin(), found, std::mem_fn(&IndexedPacket::has_picture)) ? first : 0;
  }

  // One past the last leading picture of the keyframe, one that follows it and is shown before it.
  int EndOfLeading(const FrameIndex& index, int keyframe) const {
    int end = keyframe + 1;
    for (int place = end; place < index.packet_count() && !packets_[place].keyframe; ++place) {
      if (packets_[place].has_picture && index.order(place) < index.order(keyframe)) end = place + 1;
    }
    return end;
  }

  Demuxer& demuxer_;
  const DecodeLimits& limits_;
  AccessUnitReader reader_{demuxer_.parameters()};
  PictureOrder order_{demuxer_.parameters()};
  LossCheck losses_{demuxer_.parameters(), demuxer_.container() == "mpegts"};
  ParameterSets parameter_sets_{demuxer_.parameters()};
  std::vector<IndexedPacket> packets_;
  std::optional<FrameIndex> tables_;  // the index of packets_, when the data agrees with the tables
  std::vector<int> flagged_;          // places of keyframes that only the container flags as such
  std::optional<std::int64_t> origin_;
  std::int64_t latest_dts_ = IndexedPacket::kNoTime;
  bool has_times_ = true;        // every packet has a pts
  bool has_dts_ = true;          // every packet has a dts, and they rise between resets of the clock
  bool times_are_right_ = true;  // the container's times are presentation times
  bool from_tables_ = false;
  bool knows_order_ = true;       // order_ has all packets so far
  bool flags_are_wrong_ = false;  // a packet is flagged as a keyframe but is not even an intra picture
  bool hides_pictures_ = false;   // a packet is never shown: each must be read
  bool at_head_ = true;           // packets_ begins at the beginning of the stream
  bool is_part_ = false;          // more of the stream may follow
  bool head_was_decoded_ = false;
  bool seen_keyframe_ = false;
  bool first_is_closed_ = false;  // the first keyframe starts a closed GOP
  int last_discard_ = 0;          // place of the last picture that discards earlier ones
  bool drops_rasl_ = false;       // the last keyframe drops its RASL pictures
};

}  // namespace

std::int64_t VideoScan::Ticks(double seconds) const { return cosmos::Ticks(seconds, tick); }

std::int64_t VideoScan::TimeAt(double seconds) const {
  // Seconds that a caller wrote in decimal mean a tick exactly, despite binary rounding.
  constexpr double kRounding = 1e-3;
  return origin + cosmos::Ticks(std::ceil(seconds / tick - kRounding), 1);
}

Result<VideoScan> ScanVideo(Demuxer& demuxer, double start, std::optional<double> end,
                            const DecodeLimits& limits) {
  // An index from tables needs no reading, so indexing only a range would save nothing.
  if ((start > 0 || end) && !demuxer.has_sample_tables()) {
    Scanner scanner(demuxer, limits);
    COSMOS_ASSIGN_OR_RETURN(auto indexed, scanner.ReadRange(start, end));
    if (indexed) return scanner.Finish();
    if (Status status = demuxer.Rewind(); !status.ok()) return status;
  }
  if (TablesMaySuffice(demuxer)) {
    Scanner scanner(demuxer, limits);
    COSMOS_ASSIGN_OR_RETURN(auto indexed, scanner.ReadTables());
    if (indexed) return scanner.Finish();
    if (Status status = demuxer.Rewind(); !status.ok()) return status;
  }
  Scanner scanner(demuxer, limits);
  if (Status status = scanner.ReadAll(); !status.ok()) return status;
  return scanner.Finish();
}

}  // namespace cosmos
