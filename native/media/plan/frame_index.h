// Lists the packets of a video and the order in which their pictures are shown. Pure data without FFmpeg
// types.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace cosmos {

// A packet of the video stream. It holds one picture or none.
struct IndexedPacket {
  static constexpr std::int64_t kNoTime = std::numeric_limits<std::int64_t>::min();

  std::int64_t pts = kNoTime;  // in units of the stream's time base
  std::int64_t dts = kNoTime;
  std::int64_t position = -1;  // of its first byte in the file, where the demuxer can begin there
  std::int32_t size = -1;      // bytes, where it has as many whenever it is read; -1: not known
  bool keyframe = false;       // random access point
  bool shown = true;        // false: only a reference for others, cut by an edit list or hidden by the codec
  bool has_picture = true;  // false: only headers or the like; not shown either
};

// Times beyond this, in any unit, are not plausible for a video and could overflow when added. Readers of
// packets must reject them.
inline constexpr std::int64_t kMaxTime = std::int64_t{1} << 61;

// Two ways to name a picture:
//   place  where its packet is, in decoding order: an index into `packets`
//   rank   which picture it is to a viewer: an index into `frames`
class FrameIndex {
 public:
  FrameIndex() = default;
  // `packets` are in decoding order, each with a pts within kMaxTime. `synthetic_times`: the container had no
  // times, and these only give the order. `display`: the places in presentation order, where it is known more
  // reliably than from the pts; the pts are then reassigned to the pictures in that order. `one_clock`: the
  // container's clock cannot be reset, so parts whose times overlap keep them.
  explicit FrameIndex(std::vector<IndexedPacket> packets, bool synthetic_times = false,
                      std::vector<int> display = {}, bool one_clock = false);

  int packet_count() const { return static_cast<int>(packets_.size()); }
  int frame_count() const { return static_cast<int>(frames_.size()); }
  const IndexedPacket& packet(int place) const { return packets_[place]; }
  int place(int rank) const { return frames_[rank]; }
  int rank(int place) const;  // the packet must be shown
  // The position of any packet, shown or not, in presentation order among all packets.
  int order(int place) const { return order_[place]; }
  int place_at(int order) const { return by_order_[order]; }
  // When a frame is shown, in units of the time base: its pts with the clock resets of concatenated
  // recordings removed, so that it never decreases with rank. Within kMaxTime.
  std::int64_t time(int rank) const { return times_[rank]; }

  // The keyframe from which the picture at `place` can be decoded: the last one before it in decoding order
  // that does not follow it in presentation order. Pictures that follow a keyframe in decoding order but are
  // shown before it may depend on pictures before the keyframe (open GOP). 0 when there is none.
  int KeyframeFor(int place) const;
  // The lowest rank shown at this time or later, or frame_count().
  int RankAtOrAfter(std::int64_t time) const;
  // The place of the packet with this pts, or -1. Requires seekable().
  int PlaceOf(std::int64_t pts) const;

  // Whether a pts identifies a packet, so that seeking by it works: the times come from the container, no two
  // packets share one, and they never run backwards from one GOP to the next.
  bool seekable() const { return seekable_; }
  // Whether a position identifies a packet, for files without times.
  bool has_positions() const { return has_positions_; }
  // The place of the packet at this position, or -1. Requires has_positions().
  int PlaceAt(std::int64_t position) const;
  // Whether the clock of the recording was reset somewhere.
  bool has_clock_resets() const { return has_clock_resets_; }
  // For an index of part of a file whose times may recur in the rest.
  void ForbidSeeking() { seekable_ = false; }
  // For a stream in which a decoder that skips a picture may discard another.
  void ForbidSkipping() { skippable_ = false; }
  bool skippable() const { return skippable_; }
  // Records the places, ascending, of pictures whose references are not in the file.
  void MarkLosses(std::vector<int> places) { losses_ = std::move(places); }
  bool IsAfterLoss(int place) const { return std::ranges::binary_search(losses_, place); }
  // The most packets that precede a packet in decoding order and follow it in presentation order: the delay
  // of a decoder that reorders.
  int reorder_depth() const { return reorder_depth_; }

 private:
  std::vector<int> FindEpochs(bool by_dts);
  void FindOffsets(const std::vector<int>& epoch, int epochs);
  void Arrange(std::vector<int> display);
  void MeasureReorder();

  std::vector<IndexedPacket> packets_;
  std::vector<std::int64_t> offsets_;  // per epoch: added so that its times follow the previous epoch
  std::vector<int> by_pts_;            // places of all packets, by pts; empty unless seekable
  std::vector<int> by_order_;          // places of all packets, in presentation order
  std::vector<int> order_;             // the inverse of by_order_
  std::vector<std::int64_t> times_;    // by rank
  std::vector<int> frames_;            // places of the shown packets, in presentation order
  std::vector<int> keyframes_;         // places, in decoding order
  std::vector<int> losses_;            // places of pictures whose references are missing
  bool seekable_ = true;
  bool skippable_ = true;
  bool has_positions_ = false;
  bool has_clock_resets_ = false;
  bool one_clock_ = false;
  int reorder_depth_ = 0;
};

}  // namespace cosmos
