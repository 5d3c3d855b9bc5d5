#include "media/plan/frame_index.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cosmos {

FrameIndex::FrameIndex(std::vector<IndexedPacket> packets, bool made_up, std::vector<int> display)
    : packets_(std::move(packets)), seekable_(!made_up) {
  Arrange(std::move(display));
  MeasureReorder();
}

// Every picture before a keyframe in decoding order is shown before it. A pts that says otherwise (a joined
// recording, a clock that was reset) begins a new epoch: order is (epoch, pts). An equal one does not: the
// clock cannot tell them apart. `by_dts`: a clock that steps back anywhere, and by more than demuxers that
// make up times of decoding are wrong by, begins one as well. That is for times that do not say the order.
std::vector<int> FrameIndex::FindEpochs(bool by_dts) {
  constexpr std::size_t kMadeUp = 33;  // packets
  std::vector<int> epoch(packets_.size());
  std::vector<std::int64_t> latest_dts(packets_.size());  // of the epoch, up to a packet
  int epochs = 1;
  std::size_t first = 0;  // of the epoch
  std::int64_t latest = IndexedPacket::kNoTime;
  for (std::size_t place = 0; place < packets_.size(); ++place) {
    const IndexedPacket& packet = packets_[place];
    if (packet.keyframe) keyframes_.push_back(static_cast<int>(place));
    const bool steps_back = by_dts && packet.dts != IndexedPacket::kNoTime && place - first > kMadeUp &&
                            packet.dts < latest_dts[place - kMadeUp - 1];
    if (place > 0 && (steps_back || packet.keyframe) && packet.pts < latest) {
      ++epochs;
      first = place;
      latest = packet.pts;
      seekable_ = false;
    }
    latest = std::max(latest, packet.pts);
    latest_dts[place] = place == first ? packet.dts : std::max(latest_dts[place - 1], packet.dts);
    epoch[place] = epochs - 1;
  }
  FindOffsets(epoch, epochs);
  return epoch;
}

// Where a clock was reset, the first picture follows the last one before as that followed the one before it.
// Only what is shown counts: the ends of edits that are cut away overlap, and what is left does not.
void FrameIndex::FindOffsets(const std::vector<int>& epoch, int epochs) {
  struct Span {
    std::int64_t first = kMostTime;
    std::int64_t last_but_one = IndexedPacket::kNoTime;
    std::int64_t last = IndexedPacket::kNoTime;
  };
  std::vector<Span> spans(epochs);
  for (std::size_t place = 0; place < packets_.size(); ++place) {
    if (!packets_[place].shown) continue;
    Span& span = spans[epoch[place]];
    const std::int64_t pts = packets_[place].pts;
    span.first = std::min(span.first, pts);
    if (pts > span.last)
      span.last_but_one = std::exchange(span.last, pts);
    else if (pts < span.last)
      span.last_but_one = std::max(span.last_but_one, pts);
  }
  // Bounded: so many jumps of so long a clock add up to more than a number holds.
  const auto bounded = [](std::int64_t time) { return std::clamp(time, -kMostTime, kMostTime); };
  offsets_.assign(epochs, 0);
  std::int64_t offset = 0;
  std::int64_t latest = IndexedPacket::kNoTime;
  std::int64_t interval = 1;
  for (int number = 0; number < epochs; ++number) {
    const Span& span = spans[number];
    const bool any = span.last != IndexedPacket::kNoTime;
    if (any && latest != IndexedPacket::kNoTime && span.first + offset <= latest) {
      offset = bounded(latest + interval - span.first);
      joined_ = true;
    }
    offsets_[number] = offset;
    if (!any) continue;
    latest = std::max(latest, bounded(span.last + offset));
    if (span.last_but_one != IndexedPacket::kNoTime) interval = bounded(span.last - span.last_but_one);
  }
}

void FrameIndex::Arrange(std::vector<int> display) {
  const std::vector<int> epoch = FindEpochs(/*by_dts=*/!display.empty());
  by_pts_.resize(packets_.size());
  std::iota(by_pts_.begin(), by_pts_.end(), 0);
  const auto time_of = [&](int place) { return std::pair(epoch[place], packets_[place].pts); };
  std::ranges::stable_sort(by_pts_, {}, time_of);
  const auto twice = std::ranges::adjacent_find(by_pts_, {}, time_of);
  if (twice != by_pts_.end()) seekable_ = false;

  // Times that rise from packet to packet are those of decoding, and pictures before the first that is shown
  // have used up the first of them. Other times of pictures that are not shown mean nothing.
  int used_up = 0;
  std::vector<bool> has_time(packets_.size());
  if (!display.empty() && std::ranges::is_sorted(by_pts_)) {
    for (const int place : display) {
      if (packets_[place].shown) break;
      has_time[place] = packets_[place].has_picture;
      used_up += packets_[place].has_picture ? 1 : 0;
    }
  }
  for (const int place : by_pts_) {
    if (!packets_[place].shown && !has_time[place]) continue;
    if (--used_up >= 0) continue;
    times_.push_back(std::clamp(packets_[place].pts + offsets_[epoch[place]], -kMostTime, kMostTime));
  }
  std::ranges::sort(times_);

  by_order_ = display.empty() ? by_pts_ : std::move(display);
  order_.resize(packets_.size());
  for (std::size_t order = 0; order < by_order_.size(); ++order) {
    const int place = by_order_[order];
    order_[place] = static_cast<int>(order);
    if (packets_[place].shown) frames_.push_back(place);
  }
  if (!seekable_) by_pts_ = {};
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
      std::ranges::lower_bound(by_pts_, pts, {}, [&](int place) { return packets_[place].pts; });
  return found != by_pts_.end() && packets_[*found].pts == pts ? *found : -1;
}

int FrameIndex::RankAtOrAfter(std::int64_t time) const {
  return static_cast<int>(std::ranges::lower_bound(times_, time) - times_.begin());
}

}  // namespace cosmos
