#include "media/frame_index.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cosmos {

FrameIndex::FrameIndex(std::vector<IndexedPacket> packets, bool made_up)
    : packets_(std::move(packets)), seekable_(!made_up) {
  Arrange();
  MeasureReorder();
}

void FrameIndex::Arrange() {
  // Every picture before a keyframe in decoding order is shown before it. A pts that says otherwise (a joined
  // recording, a clock that was reset) begins a new epoch: order is (epoch, pts).
  std::vector<int> epoch(packets_.size());
  std::vector<std::int64_t> offsets = {0};  // per epoch, what makes its times follow the epoch before
  std::int64_t latest = IndexedPacket::kNoTime;
  for (std::size_t place = 0; place < packets_.size(); ++place) {
    const IndexedPacket& packet = packets_[place];
    if (packet.keyframe) {
      keyframes_.push_back(static_cast<int>(place));
      if (place > 0 && packet.pts <= latest) {
        offsets.push_back(offsets.back() + latest + 1 - packet.pts);
        latest = packet.pts;
        seekable_ = false;
      }
    }
    latest = std::max(latest, packet.pts);
    epoch[place] = static_cast<int>(offsets.size()) - 1;
  }

  by_order_.resize(packets_.size());
  std::iota(by_order_.begin(), by_order_.end(), 0);
  std::ranges::stable_sort(by_order_, [&](int a, int b) {
    return std::pair(epoch[a], packets_[a].pts) < std::pair(epoch[b], packets_[b].pts);
  });

  order_.resize(packets_.size());
  times_.resize(packets_.size());
  for (std::size_t order = 0; order < by_order_.size(); ++order) {
    const int place = by_order_[order];
    order_[place] = static_cast<int>(order);
    times_[order] = packets_[place].pts + offsets[epoch[place]];
    if (order > 0) {
      if (packets_[place].pts == packets_[by_order_[order - 1]].pts) seekable_ = false;
      times_[order] = std::max(times_[order], times_[order - 1]);
    }
    if (packets_[place].shown) frames_.push_back(place);
  }
}

void FrameIndex::MeasureReorder() {
  // A packet at place p with order o has p packets before it and o before it on screen; those that are before
  // it in one and after it in the other are at least p - o. The largest such gap is the depth.
  for (std::size_t place = 0; place < packets_.size(); ++place) {
    reorder_depth_ = std::max(reorder_depth_, static_cast<int>(place) - order_[place]);
  }
}

int FrameIndex::KeyframeFor(int place) const {
  auto next = std::ranges::upper_bound(keyframes_, place);
  while (next != keyframes_.begin()) {
    --next;
    if (order_[*next] <= order_[place]) return *next;
  }
  return 0;
}

int FrameIndex::rank(int place) const {
  const auto found =
      std::ranges::lower_bound(frames_, order_[place], {}, [&](int frame) { return order_[frame]; });
  return static_cast<int>(found - frames_.begin());
}

int FrameIndex::PlaceOf(std::int64_t pts) const {
  const auto found =
      std::ranges::lower_bound(by_order_, pts, {}, [&](int place) { return packets_[place].pts; });
  return found != by_order_.end() && packets_[*found].pts == pts ? *found : -1;
}

int FrameIndex::RankAtOrAfter(std::int64_t time) const {
  const auto found =
      std::ranges::lower_bound(frames_, time, {}, [&](int place) { return times_[order_[place]]; });
  return static_cast<int>(found - frames_.begin());
}

}  // namespace cosmos
