// Which packets there are and in which order their pictures are shown. Pure data, no FFmpeg types.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace cosmos {

// A packet of the video stream. One packet is one picture, or none.
struct IndexedPacket {
  static constexpr std::int64_t kNoTime = std::numeric_limits<std::int64_t>::min();

  std::int64_t pts = kNoTime;  // in units of the stream's time base
  std::int64_t dts = kNoTime;
  bool keyframe = false;  // a random access point
  bool shown = true;  // false: decoded for others to refer to, and cut by an edit list or hidden by the codec
  bool has_picture = true;  // false: only what pictures need, and then it is not shown either
};

// Times further from 0 than this, in any unit, are no times of a video, and could not be added up. Whoever
// reads packets refuses them.
inline constexpr std::int64_t kMostTime = std::int64_t{1} << 61;

// Two ways to name a picture:
//   place  where its packet is, in decoding order: an index into `packets`
//   rank   which picture it is to a viewer: an index into `frames`
class FrameIndex {
 public:
  FrameIndex() = default;
  // Packets in decoding order, each with a pts within kMostTime. `made_up`: the container had none, and these
  // only say the order. `display`: the places in the order of presentation, where that is known better than
  // the pts say; then the pts are dealt out to the pictures in that order.
  explicit FrameIndex(std::vector<IndexedPacket> packets, bool made_up = false,
                      std::vector<int> display = {});

  int packet_count() const { return static_cast<int>(packets_.size()); }
  int frame_count() const { return static_cast<int>(frames_.size()); }
  const IndexedPacket& packet(int place) const { return packets_[place]; }
  int place(int rank) const { return frames_[rank]; }
  int rank(int place) const;  // of a packet that is shown
  // For every packet, shown or not: its position in presentation order among all packets.
  int order(int place) const { return order_[place]; }
  int place_at(int order) const { return by_order_[order]; }
  // When a frame is shown, in units of the time base: its pts, with the jumps of a joined recording taken
  // out, so that it never decreases with rank. Within kMostTime.
  std::int64_t time(int rank) const { return times_[rank]; }

  // The keyframe from which the picture at `place` can be decoded: the last one before it in decoding order
  // that is not after it in presentation order. Pictures that follow a keyframe and are shown before it may
  // lean on what came before the keyframe (an open GOP). 0 when there is none.
  int KeyframeFor(int place) const;
  // The lowest rank shown at this time or later; frame_count() when there is none.
  int RankAtOrAfter(std::int64_t time) const;
  // The place of the packet with this pts, or -1. Needs `seekable`.
  int PlaceOf(std::int64_t pts) const;

  // The times are the container's, no two packets share one, and they never run backwards from one GOP to the
  // next: so a pts names a packet, and seeking by it makes sense.
  bool seekable() const { return seekable_; }
  // A clock that was reset begins anew somewhere.
  bool joined() const { return joined_; }
  // The file holds more than is listed here, and its times may come again there.
  void ForbidSeeking() { seekable_ = false; }
  // How many packets at most stand before a packet in decoding order and after it in presentation order:
  // the delay of a decoder that puts pictures in order.
  int reorder_depth() const { return reorder_depth_; }

 private:
  std::vector<int> FindEpochs(bool by_dts);
  void FindOffsets(const std::vector<int>& epoch, int epochs);
  void Arrange(std::vector<int> display);
  void MeasureReorder();

  std::vector<IndexedPacket> packets_;
  std::vector<std::int64_t> offsets_;  // per epoch, what makes its times follow the epoch before
  std::vector<int> by_pts_;            // places of all packets, where a pts names one
  std::vector<int> by_order_;          // places of all packets, in presentation order
  std::vector<int> order_;             // the inverse of by_order_
  std::vector<std::int64_t> times_;    // by rank
  std::vector<int> frames_;            // places of the shown ones, in presentation order
  std::vector<int> keyframes_;         // places, in decoding order
  bool seekable_ = true;
  bool joined_ = false;
  int reorder_depth_ = 0;
};

}  // namespace cosmos
