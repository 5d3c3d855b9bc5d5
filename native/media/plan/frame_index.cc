#include "media/plan/frame_index.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace cosmos {

FrameIndex::FrameIndex(std::vector<IndexedPacket> packets, bool synthetic_times, std::vector<int> display,
                       bool one_clock)
    : packets_(std::move(packets)), seekable_(!synthetic_times), one_clock_(one_clock) {
  Arrange(std::move(display));
  MeasureReorder();
  const auto precedes = [](std::int64_t a, std::int64_t b) { return a >= 0 && a < b; };
  has_positions_ =
      !packets_.empty() && packets_.front().position >= 0 &&
      std::ranges::adjacent_find(packets_, std::not_fn(precedes), &IndexedPacket::position) == packets_.end();
}

// Every picture before a keyframe in decoding order is shown before it. A pts that contradicts this
// (concatenated recordings, a clock reset) begins a new epoch, and the order is (epoch, pts). An equal pts
// does not, because the clock cannot tell the two apart. `by_dts` also begins an epoch where the dts steps
// back by more than the error of demuxers that synthesise dts; it is for pts that do not give the order.
std::vector<int> FrameIndex::FindEpochs(bool by_dts) {
  constexpr std::size_t kMaxDtsError = 33;  // packets
  std::vector<int> epoch(packets_.size());
  std::vector<std::int64_t> latest_dts(packets_.size());  // the latest dts of the epoch up to each packet
  int epochs = 1;
  std::size_t first = 0;  // place where the epoch begins
  std::int64_t latest = IndexedPacket::kNoTime;
  for (std::size_t place = 0; place < packets_.size(); ++place) {
    const IndexedPacket& packet = packets_[place];
    if (packet.keyframe) keyframes_.push_back(static_cast<int>(place));
    const bool steps_back = by_dts && packet.dts != IndexedPacket::kNoTime && place - first > kMaxDtsError &&
                            packet.dts < latest_dts[place - kMaxDtsError - 1];
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

// After a clock reset, the first picture follows the last one at the interval of the two before it. Only
// shown pictures count: the parts that edit lists cut away overlap.
void FrameIndex::FindOffsets(const std::vector<int>& epoch, int epochs) {
  struct Span {
    std::int64_t first = kMaxTime;
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
  // Clamped, because many resets of a long clock could overflow.
  const auto bounded = [](std::int64_t time) { return std::clamp(time, -kMaxTime, kMaxTime); };
  offsets_.assign(epochs, 0);
  std::int64_t offset = 0;
  std::int64_t latest = IndexedPacket::kNoTime;
  std::int64_t interval = 1;
  for (int number = 0; number < epochs; ++number) {
    const Span& span = spans[number];
    const bool any = span.last != IndexedPacket::kNoTime;
    if (!one_clock_ && any && latest != IndexedPacket::kNoTime && span.first + offset <= latest) {
      offset = bounded(latest + interval - span.first);
      has_clock_resets_ = true;
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

  // Pts that rise in decoding order are really times of decoding, and the pictures before the first shown one
  // used up the first of them. Otherwise the times of pictures that are not shown mean nothing.
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
    times_.push_back(std::clamp(packets_[place].pts + offsets_[epoch[place]], -kMaxTime, kMaxTime));
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
  // A packet at place p with order o has p packets before it in decoding order and o in presentation order,
  // so at least p - o of them precede it only in decoding order. The largest such difference is the depth.
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

int FrameIndex::PlaceAt(std::int64_t position) const {
  const auto found = std::ranges::lower_bound(packets_, position, {}, &IndexedPacket::position);
  const bool is_there = found != packets_.end() && found->position == position;
  return is_there ? static_cast<int>(found - packets_.begin()) : -1;
}

int FrameIndex::RankAtOrAfter(std::int64_t time) const {
  return static_cast<int>(std::ranges::lower_bound(times_, time) - times_.begin());
}

}  // namespace cosmos
